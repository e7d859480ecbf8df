# count the user ports
proc count {ports {limit 1024}} {
    set n 0
    foreach p $ports {
        if {$p > $limit} { incr n }
    }
    return $n
}
puts "ports: [count {80 8080}]"
