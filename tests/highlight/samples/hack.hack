namespace Fleet;

// a counter of requests
final class Counter {
  private int $hits = 0;
  public async function addAsync(vec<string> $hosts): Awaitable<int> {
    foreach ($hosts as $h) { echo "host ".$h; $this->hits += 1; }
    return $this->hits;
  }
}
