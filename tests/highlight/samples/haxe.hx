package fleet;
// counts the requests
class Counter {
    public var hits(default, null):Int = 0;
    public function new() {}
    public function add(n:Int = 1):Void {
        if (n > 0) hits += n;
        trace('hits: $hits' + " total");
    }
}
