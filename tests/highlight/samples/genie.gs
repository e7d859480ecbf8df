[indent=4]
// prints the ports in use
const LIMIT: int = 3

init
    var port = 8080
    for var i = 1 to LIMIT
        if port > 0
            print "port %d", port + i
