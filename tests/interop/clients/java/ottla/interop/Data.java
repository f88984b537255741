package ottla.interop;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.Future;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** Produces a file of records to one partition, and reads a partition into a file. */
final class Data {
    private final String bootstrap;
    private KafkaConsumer<byte[], byte[]> consumer;

    Data(String bootstrap) {
        this.bootstrap = bootstrap;
    }

    void produce(JsonNode request, ObjectNode answer) throws Exception {
        Properties config = new Properties();
        config.put("bootstrap.servers", bootstrap);
        config.put("compression.type", request.get("codec").asText());
        config.put("acks", request.get("acks").asText());
        config.put("enable.idempotence", Boolean.toString(request.path("idempotent").asBoolean(false)));
        config.put("max.request.size", "2000000");
        config.put("linger.ms", "5");
        if (!request.path("idempotent").asBoolean(false)) {
            // A retry must not change the order that is compared.
            config.put("max.in.flight.requests.per.connection", "1");
        }
        config.put("delivery.timeout.ms", "15000");
        config.put("request.timeout.ms", "10000");
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        String topic = request.get("topic").asText();
        int partition = request.get("partition").asInt();
        try (KafkaProducer<byte[], byte[]> producer =
                new KafkaProducer<>(config, new ByteArraySerializer(), new ByteArraySerializer())) {
            for (String line : Files.readAllLines(Path.of(request.get("file").asText()))) {
                JsonNode record = Driver.JSON.readTree(line);
                List<Header> headers = new ArrayList<>();
                for (JsonNode pair : record.get("h")) {
                    headers.add(new RecordHeader(pair.get(0).asText(), bytes(pair.get(1))));
                }
                Long time = record.get("t").isNull() ? null : record.get("t").asLong();
                byte[] key = bytes(record.get("k"));
                byte[] value = bytes(record.get("v"));
                sent.add(producer.send(new ProducerRecord<>(topic, partition, time, key, value, headers)));
            }
            producer.flush();
            ArrayNode offsets = answer.putArray("offsets");
            for (Future<RecordMetadata> future : sent) {
                offsets.add(future.get().offset());
            }
        }
    }

    void consume(JsonNode request, ObjectNode answer) throws Exception {
        TopicPartition partition =
                new TopicPartition(request.get("topic").asText(), request.get("partition").asInt());
        KafkaConsumer<byte[], byte[]> consumer = consumer();
        consumer.assign(List.of(partition));
        JsonNode from = request.get("from");
        if (from.isTextual()) {
            consumer.seekToBeginning(List.of(partition));
        } else if (from.isNumber()) {
            consumer.seek(partition, from.asLong());
        } else {
            OffsetAndTimestamp at =
                    consumer.offsetsForTimes(Map.of(partition, from.get("timestamp").asLong())).get(partition);
            consumer.seek(partition, at.offset());
        }
        long until = request.get("until").asLong();
        long read = 0;
        long deadline = System.currentTimeMillis() + 15_000;
        try (BufferedWriter out = Files.newBufferedWriter(Path.of(request.get("out").asText()))) {
            while (consumer.position(partition) < until) {
                if (System.currentTimeMillis() > deadline) {
                    throw new IllegalStateException("read " + read + " records, next offset "
                            + consumer.position(partition) + " of " + until + ", then nothing");
                }
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(200))) {
                    out.write(Driver.JSON.writeValueAsString(json(record)));
                    out.newLine();
                    read++;
                }
            }
        } finally {
            consumer.unsubscribe();
        }
        answer.put("read", read);
    }

    private KafkaConsumer<byte[], byte[]> consumer() {
        if (consumer == null) {
            Properties config = new Properties();
            config.put("bootstrap.servers", bootstrap);
            config.put("enable.auto.commit", "false");
            config.put("fetch.max.wait.ms", "50");
            config.put("max.poll.records", "1000");
            consumer = new KafkaConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer());
        }
        return consumer;
    }

    static ObjectNode json(ConsumerRecord<byte[], byte[]> record) {
        ObjectNode json = Driver.JSON.createObjectNode();
        json.put("p", record.partition()).put("o", record.offset()).put("t", record.timestamp());
        json.put("k", text(record.key())).put("v", text(record.value()));
        ArrayNode headers = json.putArray("h");
        for (Header header : record.headers()) {
            headers.addArray().add(header.key()).add(text(header.value()));
        }
        return json;
    }

    private static byte[] bytes(JsonNode text) {
        return text.isNull() ? null : Base64.getDecoder().decode(text.asText());
    }

    private static String text(byte[] bytes) {
        return bytes == null ? null : Base64.getEncoder().encodeToString(bytes);
    }
}
