vcl 4.1;

# Varnish before hybridge: WebSockets are piped, everything else is cached or passed as ever. Tried with Varnish 7.1.
#
#     varnishd -a :80 -f /etc/varnish/default.vcl -p pipe_timeout=7200
#
# pipe_timeout (60 seconds by default) cuts what was silent for so long: longer than `timeouts.idle` of hybridge (1h), so
# that hybridge decides, and closes with a close frame. Change: the backend's host and port. Every dialect passes, the
# strict hixie-75 clients included, since Varnish reads nothing of a pipe but the request.

backend hybridge {
    .host = "127.0.0.1";
    .port = "8080";

    # Who is asking, by the PROXY protocol: hybridge.toml beside this file expects it.
    .proxy_header = 2;
}

sub vcl_recv {
    set req.backend_hint = hybridge;

    # Every Upgrade, whatever its letter case: hixie says WebSocket, RFC 6455 websocket. Before anything else of yours.
    if (req.http.Upgrade) {
        return (pipe);
    }
}

sub vcl_pipe {
    # Varnish drops both when it writes the request anew.
    set bereq.http.Upgrade = req.http.Upgrade;
    set bereq.http.Connection = "Upgrade";
}
