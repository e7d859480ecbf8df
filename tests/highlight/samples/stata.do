* mean load of the servers
use "servers.dta", clear
local limit = 90
generate busy = load > `limit' if !missing(load)
// one line per room
foreach room in north south {
    summarize load if room == "`room'", detail
}
regress load users, robust
