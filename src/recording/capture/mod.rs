//! TCP connections in a file of tcpdump.
