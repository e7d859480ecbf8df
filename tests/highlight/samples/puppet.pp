# run the counter
class counter (Integer $port = 8080) {
  package { 'counter':
    ensure => installed,
  }
  if $port > 1024 {
    notify { "using port ${port}": }
  }
}
