#!/usr/bin/env raku
use v6;
# one server of the fleet
class Server {
    has Str $.name is required;
    has Int $.load = 0;
    method busy(--> Bool) { return $!load > 90 }
}
my $s = Server.new(name => 'alpha', load => 95);
say "busy: $s.name()" if $s.busy;
