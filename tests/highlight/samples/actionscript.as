// a click counter
class Counter {
    private var count:Number = 0;
    public function click():Void {
        count += 1;
        trace("clicked " + count);
    }
}
