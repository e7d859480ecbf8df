using GLib;

// counts the requests
public class Counter : Object {
    public int hits { get; private set; default = 0; }
    public void add (int n = 1) {
        if (n > 0) hits += n;
        print ("hits: %d\n", hits);
    }
}
