#!/usr/bin/perl
use strict;
# count the errors
my %count = (total => 0);
while (my $line = <STDIN>) {
    next unless $line =~ /error (\d+)/i;
    $count{total} += 1;
}
print "total: $count{total}\n";
