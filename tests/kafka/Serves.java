import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Asks a running node for what riverbed wrote.
 *
 *   create NODE TOPIC…             topics of one partition that keep everything
 *   compacted NODE TOPIC…          topics of one partition that are compacted as soon as anything is dirty
 *   compare NODE TOPIC=LISTING…    every record equals the listing, a line of `riverbed consume --json` each
 */
public final class Serves {
    private static final ObjectMapper JSON = new ObjectMapper();

    public static void main(String[] arguments) throws Exception {
        Properties node = new Properties();
        node.put("bootstrap.servers", arguments[1]);
        List<String> rest = Arrays.asList(arguments).subList(2, arguments.length);
        Map<String, String> large = Map.of("retention.ms", "-1", "max.message.bytes", "16777216");
        if (arguments[0].equals("create")) {
            create(node, rest, large);
        } else if (arguments[0].equals("compacted")) {
            create(node, rest, Map.of("cleanup.policy", "compact", "internal.segment.bytes", "20000",
                "min.cleanable.dirty.ratio", "0.0001", "delete.retention.ms", "86400000"));
        } else {
            boolean equal = true;
            for (String pair : rest) {
                int sign = pair.indexOf('=');
                equal &= compare(node, pair.substring(0, sign), Path.of(pair.substring(sign + 1)));
            }
            System.exit(equal ? 0 : 1);
        }
    }

    private static void create(Properties node, List<String> names, Map<String, String> configs) throws Exception {
        try (Admin admin = Admin.create(node)) {
            List<NewTopic> topics = new ArrayList<>();
            for (String name : names) {
                topics.add(new NewTopic(name, 1, (short) 1).configs(configs));
            }
            admin.createTopics(topics).all().get();
        }
    }

    private static boolean compare(Properties node, String topic, Path listing) throws Exception {
        List<String> expected = Files.readAllLines(listing);
        Properties properties = new Properties();
        properties.putAll(node);
        properties.put("check.crcs", "true");
        properties.put("auto.offset.reset", "none");
        TopicPartition partition = new TopicPartition(topic, 0);
        long seen = 0;
        var bytes = new ByteArrayDeserializer();
        try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(properties, bytes, bytes)) {
            consumer.assign(List.of(partition));
            consumer.seekToBeginning(List.of(partition));
            long end = consumer.endOffsets(List.of(partition)).get(partition);
            while (consumer.position(partition) < end) {
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofSeconds(10))) {
                    String difference = seen < expected.size()
                        ? difference(JSON.readTree(expected.get((int) seen)), record)
                        : "one more than listed";
                    if (difference != null) {
                        System.out.printf("%s, offset %d: %s%n", topic, record.offset(), difference);
                        return false;
                    }
                    seen++;
                }
            }
        }
        System.out.printf("%-16s %6d of %d records served, all equal%n", topic, seen, expected.size());
        return seen == expected.size();
    }

    private static String difference(JsonNode listed, ConsumerRecord<byte[], byte[]> served) {
        if (listed.get("offset").asLong() != served.offset()) {
            return "offset " + listed.get("offset") + " was listed";
        }
        if (listed.get("timestamp").asLong() != served.timestamp()) {
            return "timestamp " + served.timestamp() + ", listed " + listed.get("timestamp");
        }
        if (!Arrays.equals(bytes(listed.get("key")), served.key())) {
            return "another key";
        }
        if (!Arrays.equals(bytes(listed.get("value")), served.value())) {
            return "another value";
        }
        Header[] headers = served.headers().toArray();
        JsonNode pairs = listed.get("headers");
        boolean same = headers.length == pairs.size();
        for (int i = 0; same && i < headers.length; i++) {
            same = pairs.get(i).get(0).asText().equals(headers[i].key())
                && Arrays.equals(bytes(pairs.get(i).get(1)), headers[i].value());
        }
        return same ? null : "other headers";
    }

    /** A string stands for its bytes, {"base64": …} for what cannot be a string, null for null. */
    private static byte[] bytes(JsonNode node) {
        if (node.isNull()) {
            return null;
        }
        return node.isTextual()
            ? node.asText().getBytes(StandardCharsets.UTF_8)
            : Base64.getDecoder().decode(node.get("base64").asText());
    }
}
