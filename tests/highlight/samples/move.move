module fleet::counter {
    use std::string;

    // counts the deployments
    public struct Counter has key, store { id: u64, value: u64 }
    public fun add(c: &mut Counter) {
        assert!(c.value < 100, 1);
        c.value = c.value + 1; let _n = b"web";
    }
}
