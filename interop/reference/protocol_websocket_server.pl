#!/usr/bin/perl
# A server of hixie-75, hixie-76, versions 7, 8 and 13 on Perl Protocol::WebSocket: the library reads and writes
# handshakes and frames, the sockets are the application's. Behaves and reports as ../backends/ws.js does.

use strict;
use warnings;
use Digest::SHA 'sha1_hex';
use IO::Socket::INET;
use JSON::PP;
use Protocol::WebSocket::Frame;
use Protocol::WebSocket::Handshake::Server;

my $json = JSON::PP->new->canonical->latin1;
$SIG{CHLD} = 'IGNORE';

# One write for a line: every connection is a process of its own, and all of them write here.
sub report {
    my ($event, %fields) = @_;
    syswrite STDOUT, $json->encode({ event => $event, %fields }) . "\n";
}

my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0, Listen => 64) or die "cannot listen: $@";
report('listening', port => $listener->sockport);
while (1) {
    my $socket = $listener->accept or next;
    next if fork;
    eval { serve($socket); 1 } or print {*STDERR} $@;
    exit;
}

sub serve {
    my ($socket) = @_;
    my $handshake = Protocol::WebSocket::Handshake::Server->new;
    until ($handshake->is_done) {
        sysread $socket, my $read, 65536 or return;
        $handshake->parse($read) or die $handshake->error, "\n";
    }
    my $request = $handshake->req;
    my ($version, $path) = ($request->version, $request->resource_name);
    my (undef, $behaviour, $id) = split m{[/?]}, $path;
    my $is_hixie  = $version eq 'draft-hixie-75' || $version eq 'draft-ietf-hybi-00';
    my $protocols = $request->subprotocol;
    my $saw       = sub { report(@_, id => $id) };
    my $cookies   = $request->cookies;
    # Without any the library has some other empty thing.
    my $cookie = eval { $cookies->to_string };
    $saw->('open', path => $path, host => $request->host, origin => $request->origin, cookie => $cookie,
        protocols => $protocols, extensions => $request->field('Sec-WebSocket-Extensions'));
    # The library repeats what was asked for.
    $handshake->res->subprotocol('chat') if defined $protocols && $protocols eq 'chat';
    print {$socket} $handshake->to_string;
    $socket->flush;

    my $say = sub {
        my $frame = Protocol::WebSocket::Frame->new(version => $version, max_payload_size => 0, @_);
        print {$socket} $frame->to_bytes;
        $socket->flush;
    };
    my $frames = Protocol::WebSocket::Frame->new(version => $version, max_payload_size => 0);
    my ($heard, $pong, $closing) = (0, $is_hixie, 0);
    my $is_farewell = $behaviour eq 'farewell';
    my $leave       = sub {
        return if $closing || !$is_farewell || !$pong || !$heard;
        $closing = 1;
        if ($version eq 'draft-hixie-75') { shutdown $socket, 1 }
        else                              { $say->(type => 'close', buffer => pack 'na*', 4321, 'so long') }
    };
    if ($is_farewell) {
        $say->(type => 'ping', buffer => 'heartbeat') unless $is_hixie;
        $say->(type => 'text', buffer => "welcome \xf0\x9f\x98\x80");
    }

    my $is_over;
    my $over = sub { $saw->('close', code => $_[0], reason => $_[1]) unless $is_over++ };
    while (1) {
        while (defined(my $bytes = $frames->next_bytes)) {
            if ($frames->is_close) {
                my ($code, $reason) = $is_hixie ? (1000, '') : length $bytes ? unpack('na*', $bytes) : (1005, '');
                $say->(type => 'close', buffer => $bytes) unless $closing;
                $over->($code, $reason);
                return;
            }
            if ($frames->is_ping) { $say->(type => 'pong', buffer => $bytes); next }
            if ($frames->is_pong) { $saw->('pong', payload => $bytes); $pong = 1; $leave->(); next }
            # hixie frames leave the library's opcode as it was.
            my $type = !$is_hixie && $frames->is_binary ? 'binary' : 'text';
            $saw->('message', type => $type, length => length $bytes, sha1 => sha1_hex($bytes));
            $say->(type => $type, buffer => $bytes);
            $heard++;
            $leave->();
        }
        sysread $socket, my $read, 65536 or last;
        $frames->append($read);
    }
    $over->($version eq 'draft-hixie-75' ? 1001 : 1006, '');
}
