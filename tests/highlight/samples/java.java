import java.util.List;

/** Counts the servers. */
public class Counter {
    private static final int LIMIT = 10;
    // true when there are too many
    boolean tooMany(List<String> names) {
        return names.size() > LIMIT || names.contains("spare");
    }
}
