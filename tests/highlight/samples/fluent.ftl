# Messages of the status page
-product = Watchtower
welcome = Welcome to { -product }, { $user }!
servers = { $count ->
    [one] One server is down
   *[other] { NUMBER($count, maximumFractionDigits: 0) } servers are down
}
login = Log in
    .title = Open { "the" } form
