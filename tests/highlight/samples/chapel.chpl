// sum of the loads of all servers
config const n = 100;
var total: real = 0.0;
proc load(i: int): real {
  return i * 0.5;
}
forall i in 1..n with (+ reduce total) do
  total += load(i);
writeln("total load: ", total);
