#!/usr/bin/perl
# A bridge of Perl Protocol::WebSocket: clients of hixie-75, hixie-76, versions 7, 8 and 13, an upstream of version 13.
# The library makes and reads handshakes and frames; the sockets are the application's.
# perl bridge-protocol-websocket.pl LISTEN_PORT UPSTREAM_PORT

use strict;
use warnings;
use IO::Select;
use IO::Socket::INET;
use Protocol::WebSocket::Frame;
use Protocol::WebSocket::Handshake::Client;
use Protocol::WebSocket::Handshake::Server;

my ($listen, $upstream_port) = @ARGV;
my $MODERN        = 'draft-ietf-hybi-17';
my $CLOSE_SECONDS = 3;
my %LIMITS        = (max_payload_size => 0, max_fragments_amount => 1_000_000);
$SIG{CHLD} = 'IGNORE';
$SIG{PIPE} = 'IGNORE';
$| = 1;

my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $listen, Listen => 64, ReuseAddr => 1)
    or die "cannot listen: $@";
print 'listening on ', $listener->sockport, "\n";
while (1) {
    my $socket = $listener->accept or next;
    next if fork;
    # One connection's failure is not the others': each is a process.
    eval { bridge($socket); 1 } or print {*STDERR} $@;
    exit;
}

sub send_to {
    my ($socket, $bytes) = @_;
    print {$socket} $bytes or die "cannot send: $!\n";
    $socket->flush;
}

sub bridge {
    my ($client) = @_;
    my $server = Protocol::WebSocket::Handshake::Server->new;
    my $buffer = '';
    until ($server->is_done) {
        sysread $client, $buffer, 65536, length $buffer or return;
        # The library takes no byte more than the handshake, and a client's first frame may ride with it.
        my $length = 4 + index $buffer, "\r\n\r\n";
        next if $length < 4;
        $length += 8 if substr($buffer, 0, $length) =~ /^Sec-WebSocket-Key1:/im;
        next if length $buffer < $length;
        $server->parse(substr $buffer, 0, $length, '') or return refuse($client, $server->error);
    }
    my $request  = $server->req;
    my $version  = $request->version;
    my $is_hixie = $version eq 'draft-hixie-75' || $version eq 'draft-ietf-hybi-00';

    my $upstream = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$upstream_port")
        or return refuse($client, "no upstream: $@");
    my $agreed = ask($upstream, $request) or return refuse($client, 'the upstream did not agree');
    # hixie clients compare the whole value that they asked with; the library repeats it by itself.
    my $chosen = $is_hixie ? $request->subprotocol : $agreed->{subprotocol};
    $server->res->subprotocol($chosen) if defined $chosen;
    my $answer = $server->to_string;
    # The library has one first line for all dialects, and every hixie-75 browser refuses that one.
    $answer =~ s/ 101 WebSocket / 101 Web Socket / if $version eq 'draft-hixie-75';
    send_to($client, $answer);

    my $frames = sub { Protocol::WebSocket::Frame->new(version => $_[0], %LIMITS) };
    my %down = (socket => $client, version => $version, frames => $frames->($version), is_hixie => $is_hixie);
    my %up   = (socket => $upstream, version => $MODERN, frames => $frames->($MODERN), masked => 1);
    $down{frames}->append($buffer);
    $up{frames}->append($agreed->{early});
    carry(\%down, \%up);
}

sub refuse {
    my ($client, $why) = @_;
    print {*STDERR} "refused: $why\n";
    send_to($client, "HTTP/1.1 502 Bad Gateway\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
}

# The opening handshake with the upstream: what it chose, and the frames that came with its answer.
sub ask {
    my ($upstream, $request) = @_;
    my $url       = "ws://127.0.0.1:$upstream_port" . $request->resource_name;
    my $handshake = Protocol::WebSocket::Handshake::Client->new(url => $url, version => $MODERN);
    $handshake->req->origin($request->origin)           if defined $request->origin;
    $handshake->req->subprotocol($request->subprotocol) if defined $request->subprotocol;
    my $cookie = $request->field('cookie');
    $handshake->req->cookies($cookie) if defined $cookie;
    send_to($upstream, $handshake->to_string);
    my $buffer = '';
    until ($handshake->is_done) {
        sysread $upstream, $buffer, 65536, length $buffer or return;
        $handshake->parse($buffer) or return;
    }
    return { subprotocol => $handshake->res->subprotocol, early => $buffer };
}

# Says it to one side, as far as that has words.
sub say_to {
    my ($side, $type, $bytes) = @_;
    return if $side->{is_hixie} && $type =~ /^p[io]ng$/;
    if ($side->{version} eq 'draft-hixie-75' && $type eq 'close') { shutdown $side->{socket}, 1; return }
    my $frame = Protocol::WebSocket::Frame->new(
        version => $side->{version}, masked => $side->{masked}, type => $type, buffer => $bytes, %LIMITS);
    send_to($side->{socket}, $frame->to_bytes);
}

sub close_side {
    my ($side, $body) = @_;
    say_to($side, 'close', $body) unless $side->{told}++;
}

sub carry {
    my ($down, $up) = @_;
    my %side   = (fileno $down->{socket} => [$down, $up], fileno $up->{socket} => [$up, $down]);
    my $select = IO::Select->new($down->{socket}, $up->{socket});
    take($up, $down);
    take($down, $up);
    until ($down->{closed} && $up->{closed}) {
        my @ready = $select->can_read($down->{told} || $up->{told} ? $CLOSE_SECONDS : ()) or last;
        for my $socket (@ready) {
            my ($from, $to) = @{ $side{ fileno $socket } };
            if (sysread $socket, my $read, 65536) {
                $from->{frames}->append($read);
                take($from, $to);
                next;
            }
            $select->remove($socket);
            gone($from, $to) or return;
        }
    }
}

# A stream has ended. False if the other one is to end with it, without a close.
sub gone {
    my ($from, $to) = @_;
    return 1 if $from->{closed}++;
    return 0 unless $from->{is_hixie};
    close_side($to, pack 'n', 1001);
    return 1;
}

sub take {
    my ($from, $to) = @_;
    while (!$from->{closed} && defined(my $bytes = $from->{frames}->next_bytes)) {
        my $frames = $from->{frames};
        if ($frames->is_close) {
            $from->{closed} = 1;
            close_side($to, $from->{is_hixie} ? pack('n', 1000) : $bytes);
            close_side($from, $bytes);
        }
        elsif (!$from->{is_hixie} && $frames->is_ping) { say_to($from, 'pong', $bytes) }
        elsif (!$from->{is_hixie} && $frames->is_pong) { next }
        elsif (!$from->{is_hixie} && $frames->is_binary) {
            if ($to->{is_hixie}) { close_side($from, pack 'n', 1003); close_side($to, '') }
            else                 { say_to($to, 'binary', $bytes) }
        }
        else { say_to($to, 'text', $bytes) }
    }
}
