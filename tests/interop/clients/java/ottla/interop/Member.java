package ottla.interop;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.WakeupException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** A member of a group, in a thread of its own; what happens to it goes to its log (lib/members.py). */
final class Member implements ConsumerRebalanceListener {
    private static final Map<String, String> ASSIGNORS = Map.of(
            "range", "RangeAssignor", "roundrobin", "RoundRobinAssignor", "sticky", "StickyAssignor",
            "cooperative-sticky", "CooperativeStickyAssignor");

    private final KafkaConsumer<byte[], byte[]> consumer;
    private final OutputStream log;
    private final Thread thread;
    private final Map<TopicPartition, OffsetAndMetadata> pending = new HashMap<>();
    private long left;
    private volatile boolean leaving;

    Member(String bootstrap, JsonNode request) throws IOException {
        log = Files.newOutputStream(Path.of(request.get("log").asText()), StandardOpenOption.CREATE,
                StandardOpenOption.APPEND);
        left = request.path("limit").asLong(Long.MAX_VALUE);
        consumer = new KafkaConsumer<>(config(bootstrap, request), new ByteArrayDeserializer(),
                new ByteArrayDeserializer());
        consumer.subscribe(List.of(request.get("topic").asText()), this);
        thread = new Thread(this::run);
        thread.start();
    }

    private static Properties config(String bootstrap, JsonNode request) {
        Properties config = new Properties();
        config.put("bootstrap.servers", bootstrap);
        config.put("group.id", request.get("group").asText());
        config.put("enable.auto.commit", "false");
        config.put("auto.offset.reset", "earliest");
        config.put("fetch.max.wait.ms", "50");
        config.put("metadata.max.age.ms", "1000");
        if (request.hasNonNull("instance")) {
            config.put("group.instance.id", request.get("instance").asText());
        }
        String assignor = request.get("assignor").asText();
        if (request.get("protocol").asText().equals("consumer")) {
            config.put("group.protocol", "consumer");
            config.put("group.remote.assignor", assignor);
        } else {
            config.put("partition.assignment.strategy",
                    "org.apache.kafka.clients.consumer." + ASSIGNORS.get(assignor));
            config.put("session.timeout.ms", request.get("session").asText());
            config.put("heartbeat.interval.ms", "500");
        }
        return config;
    }

    void leave() throws InterruptedException {
        leaving = true;
        consumer.wakeup();
        thread.join();
    }

    private void run() {
        try {
            while (!leaving) {
                poll();
            }
            consumer.close();
        } catch (Exception error) {
            say("error", Driver.JSON.createObjectNode().put("error", error.toString()));
        }
        say("left", Driver.JSON.createObjectNode());
    }

    private void poll() {
        try {
            for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(100))) {
                if (left == 0) {
                    break;
                }
                left--;
                say("record", Data.json(record));
                pending.put(new TopicPartition(record.topic(), record.partition()),
                        new OffsetAndMetadata(record.offset() + 1));
            }
            commit();
        } catch (WakeupException ignored) {
            // The loop ends.
        }
    }

    private void commit() {
        if (pending.isEmpty()) {
            return;
        }
        say("committing", Driver.JSON.createObjectNode());
        try {
            consumer.commitSync(pending);
            ObjectNode event = Driver.JSON.createObjectNode();
            ObjectNode offsets = event.putObject("offsets");
            pending.forEach((partition, at) -> offsets.put(Integer.toString(partition.partition()), at.offset()));
            say("committed", event);
            pending.clear();
        } catch (WakeupException ignored) {
            // Not known to be committed; what leaves commits again.
            say("returned", Driver.JSON.createObjectNode());
        } catch (KafkaException error) {
            say("refused", Driver.JSON.createObjectNode().put("error", error.toString()));
        }
    }

    @Override
    public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
        changed("assigned", partitions);
    }

    @Override
    public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
        commit();
        partitions.forEach(pending::remove);
        changed("revoked", partitions);
    }

    @Override
    public void onPartitionsLost(Collection<TopicPartition> partitions) {
        partitions.forEach(pending::remove);
        changed("lost", partitions);
    }

    private void changed(String event, Collection<TopicPartition> partitions) {
        ObjectNode json = Driver.JSON.createObjectNode();
        ArrayNode numbers = json.putArray("p");
        partitions.stream().map(TopicPartition::partition).sorted().forEach(numbers::add);
        json.put("gen", consumer.groupMetadata().generationId()).put("member", consumer.groupMetadata().memberId());
        say(event, json);
    }

    /** `System.nanoTime` is CLOCK_MONOTONIC, which all processes of a machine read alike. */
    private void say(String event, ObjectNode json) {
        try {
            json.put("at", System.nanoTime()).put("e", event);
            log.write((Driver.JSON.writeValueAsString(json) + "\n").getBytes());
        } catch (IOException error) {
            throw new java.io.UncheckedIOException(error);
        }
    }
}
