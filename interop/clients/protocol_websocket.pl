#!/usr/bin/perl
# Perl Protocol::WebSocket, as hixie-75, hixie-76, version 8 or 13. The library makes and reads handshakes and frames;
# the socket is the application's, as everywhere this library is used.
# perl protocol_websocket.pl 75|76|8|13 PLAN...

use strict;
use warnings;
use IO::Socket::INET;
use Protocol::WebSocket::Frame;
use Protocol::WebSocket::Handshake::Client;

my %DRAFT = (
    75 => 'draft-hixie-75',
    76 => 'draft-ietf-hybi-00',
    8  => 'draft-ietf-hybi-10',
    13 => 'draft-ietf-hybi-17',
);

my ($dialect, @files) = @ARGV;
my $draft    = $DRAFT{$dialect};
my $is_hixie = $dialect >= 75;
$| = 1;

for my $file (@files) {
    eval { perform(parse($file)); 1 } or print 'failed ', $@ =~ s/\s+/ /gr, "\n";
}

sub perform {
    my ($plan) = @_;
    my $handshake = Protocol::WebSocket::Handshake::Client->new(url => $plan->{connect}, version => $draft);
    my $request = $handshake->req;
    $request->origin($plan->{origin});
    $request->subprotocol($plan->{protocol}) if $plan->{protocol};
    $request->cookies($plan->{cookie})       if $plan->{cookie};

    my ($authority) = $plan->{connect} =~ m{^ws://([^/]+)};
    my $socket = IO::Socket::INET->new(PeerAddr => $authority) or die "cannot connect: $@";
    my $send   = sub { print {$socket} $_[0] or die "cannot send: $!"; $socket->flush };

    $send->($handshake->to_string);
    my $buffer = '';
    until ($handshake->is_done) {
        sysread $socket, $buffer, 65536, length $buffer or die 'the server hung up during the handshake';
        $handshake->parse($buffer) or die $handshake->error;
    }
    print 'open ', $handshake->res->subprotocol // '-', " -\n";

    # A close frame, ping or message, or undef at the end of the connection.
    my $incoming = Protocol::WebSocket::Frame->new(version => $draft, max_payload_size => 0);
    $incoming->append($buffer);
    my $next = sub {
        while (1) {
            my $bytes = $incoming->next_bytes;
            return $bytes if defined $bytes;
            sysread $socket, my $read, 65536 or return;
            $incoming->append($read);
        }
    };
    my $frame = sub {
        return Protocol::WebSocket::Frame->new(version => $draft, masked => 1, max_payload_size => 0, @_)->to_bytes;
    };

    # Reports one message; false when the connection is over.
    my $hear = sub {
        while (defined(my $bytes = $next->())) {
            if ($incoming->is_ping) {
                $send->($frame->(type => 'pong', buffer => $bytes));
            }
            elsif ($incoming->is_close) {
                # An answer to our own close needs none; the server may have hung up by then, too.
                eval { $send->($frame->(type => 'close', buffer => $bytes)) } unless $plan->{closing};
                1 while defined $next->();
                print $is_hixie ? "closed ff00\n" : close_line($bytes);
                return 0;
            }
            else {
                print $incoming->is_binary ? 'binary ' : 'text ', unpack('H*', $bytes), "\n";
                return 1;
            }
        }
        print "closed fin\n";
        return 0;
    };

    my $received = 0;
    for (@{ $plan->{steps} }) {
        my ($verb, @words) = @$_;
        if ($verb eq 'text' || $verb eq 'binary') {
            $send->($frame->(type => $verb, buffer => pack 'H*', $words[0]));
        }
        elsif ($verb eq 'await') {
            while ($received < $words[0]) { $hear->() or return; $received++ }
        }
        elsif ($verb eq 'close') {
            print "closing\n";
            $plan->{closing} = 1;
            # hixie-75 has no closing frame: its close is the end of TCP.
            if ($dialect == 75) { shutdown $socket, 1 }
            else { $send->($frame->(type => 'close', buffer => @words ? pack 'nH*', @words : '')) }
        }
    }
    1 while $hear->();
}

sub close_line {
    my ($body) = @_;
    return "closed 1005 \n" if $body eq '';
    return sprintf "closed %d %s\n", unpack 'nH*', $body;
}

sub parse {
    my ($file) = @_;
    open my $lines, '<', $file or die "$file: $!";
    my %plan = (steps => []);
    while (my $line = <$lines>) {
        chomp $line;
        my ($verb, @words) = split / /, $line, -1;
        if ($verb =~ /^(connect|origin|protocol|cookie)$/) { $plan{$verb} = $words[0] }
        else                                              { push @{ $plan{steps} }, [$verb, @words] }
    }
    return \%plan;
}
