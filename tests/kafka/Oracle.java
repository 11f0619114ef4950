import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.apache.kafka.common.utils.Exit;
import org.apache.kafka.tools.DumpLogSegments;

/**
 * Runs Kafka's own dump tool over every log, index and snapshot below the directories given, in one process.
 *
 * What the tool prints must be lines that it prints for good files; every other line is a complaint, and so is an
 * exception. Status 1 if there was one, or nothing to look at.
 */
public final class Oracle {
    /** The ways in which a kind of file is shown to the tool. */
    private static final Map<String, List<List<String>>> WAYS = Map.of(
        ".log", List.of(List.of("--deep-iteration")),
        ".index", List.of(List.of(), List.of("--index-sanity-check"), List.of("--verify-index-only")),
        ".timeindex", List.of(List.of(), List.of("--index-sanity-check"), List.of("--verify-index-only")),
        ".txnindex", List.of(List.of()),
        ".snapshot", List.of(List.of()));

    /** In 4.3.1 the tool counts from -1 in every segment and so calls the first offset of all but the first a gap. */
    private static final String FIRST_OFFSET = "Non-consecutive offsets in .*| *-1 is followed by \\d+";

    private static final Pattern GOOD = Pattern.compile(String.join("|",
        "Dumping .*",
        "Log starting offset: \\d+",
        "baseOffset: \\d+ .* isvalid: true",
        "\\| offset: \\d+ .*",
        "offset: \\d+ position: \\d+",
        "timestamp: \\d+ offset: \\d+",
        "version: 0 producerId: \\d+ .*",
        "producerId: \\d+ .*",
        ".*\\.index is empty\\.",
        ".* passed sanity check\\.",
        FIRST_OFFSET));

    private final PrintStream out = System.out;
    private final Map<String, Integer> files = new TreeMap<>();
    private long batches;
    private long records;
    private long entries;
    private int complaints;

    public static void main(String[] roots) throws IOException {
        Exit.setExitProcedure((status, message) -> {
            throw new IllegalStateException("the tool gave up: " + message);
        });
        Oracle oracle = new Oracle();
        for (String root : roots) {
            oracle.walk(Path.of(root));
        }
        System.exit(oracle.report() ? 0 : 1);
    }

    private void walk(Path root) throws IOException {
        List<Path> found;
        try (Stream<Path> all = Files.walk(root)) {
            found = all.filter(Files::isRegularFile).sorted().toList();
        }
        for (Path file : found) {
            String name = file.getFileName().toString();
            int dot = name.indexOf('.');
            String kind = dot < 0 ? "" : name.substring(dot);
            if (name.matches("\\d{20}\\..*") && WAYS.containsKey(kind)) {
                files.merge(kind, 1, Integer::sum);
                for (List<String> way : WAYS.get(kind)) {
                    show(file, way);
                }
            }
        }
    }

    private void show(Path file, List<String> way) {
        List<String> arguments = new ArrayList<>(List.of("--files", file.toString()));
        arguments.addAll(way);
        ByteArrayOutputStream said = new ByteArrayOutputStream();
        ByteArrayOutputStream cried = new ByteArrayOutputStream();
        PrintStream error = System.err;
        System.setOut(new PrintStream(said, true));
        System.setErr(new PrintStream(cried, true));
        String failure = null;
        try {
            DumpLogSegments.main(arguments.toArray(String[]::new));
        } catch (Exception | AssertionError e) {
            failure = e.toString();
        } finally {
            System.setOut(out);
            System.setErr(error);
        }
        Stream<String> lines = Stream.concat(said.toString().lines(), cried.toString().lines());
        lines.filter(line -> !line.isEmpty()).forEach(line -> judge(file, way, line));
        if (failure != null) {
            complain(file, way, failure);
        }
    }

    private void judge(Path file, List<String> way, String line) {
        if (!GOOD.matcher(line).matches()) {
            complain(file, way, line);
        } else if (line.startsWith("baseOffset: ")) {
            batches++;
        } else if (line.startsWith("| offset: ")) {
            records++;
        } else if (line.matches("(offset|timestamp|version|producerId): .*")) {
            entries++;
        }
    }

    private void complain(Path file, List<String> way, String line) {
        complaints++;
        if (complaints <= 50) {
            out.println(file + " " + String.join(" ", way) + ": " + line);
        }
    }

    private boolean report() {
        out.printf("kafka's dump tool: files %s, %d batches, %d records, %d entries, %d complaints%n",
            files, batches, records, entries, complaints);
        if (records == 0) {
            out.println("there was nothing to look at");
        }
        return complaints == 0 && records > 0;
    }
}
