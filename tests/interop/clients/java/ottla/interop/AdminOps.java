package ottla.interop;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.DescribeClusterResult;
import org.apache.kafka.clients.admin.ListOffsetsResult.ListOffsetsResultInfo;
import org.apache.kafka.clients.admin.LogDirDescription;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.QuorumInfo;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionInfo;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;

/** The AdminClient's operations. */
final class AdminOps implements AutoCloseable {
    private final Admin admin;
    private final GroupOps groups;

    AdminOps(String bootstrap) {
        Properties config = new Properties();
        config.put("bootstrap.servers", bootstrap);
        config.put("default.api.timeout.ms", "15000");
        config.put("request.timeout.ms", "10000");
        admin = Admin.create(config);
        groups = new GroupOps(admin);
    }

    @Override
    public void close() {
        admin.close();
    }

    /** False if this client has no such operation. */
    boolean answer(JsonNode request, ObjectNode answer) throws Exception {
        switch (request.get("op").asText()) {
            case "metadata" -> metadata(answer);
            case "create_topic" -> createTopic(request);
            case "delete_topic" -> admin.deleteTopics(List.of(topic(request))).all().get();
            case "create_partitions" -> admin.createPartitions(
                    Map.of(topic(request), NewPartitions.increaseTo(request.get("count").asInt()))).all().get();
            case "describe_configs" -> describeConfigs(request, answer);
            case "alter_configs" -> {
                if (request.path("mode").asText().equals("legacy")) {
                    return false;
                }
                alterConfigs(request);
            }
            case "delete_records" -> {
                RecordsToDelete before = RecordsToDelete.beforeOffset(request.get("before").asLong());
                answer.put("low", admin.deleteRecords(Map.of(partition(request), before))
                        .lowWatermarks().get(partition(request)).get().lowWatermark());
            }
            case "list_offsets" -> listOffsets(request, answer);
            case "log_dirs" -> logDirs(answer);
            case "quorum" -> quorum(answer);
            default -> {
                return groups.answer(request, answer);
            }
        }
        return true;
    }

    /** The cluster by DescribeCluster, the topics by Metadata (names) and DescribeTopicPartitions. */
    private void metadata(ObjectNode answer) throws Exception {
        DescribeClusterResult cluster = admin.describeCluster();
        answer.put("cluster", cluster.clusterId().get());
        answer.put("controller", cluster.controller().get().id());
        ArrayNode brokers = answer.putArray("brokers");
        for (Node node : cluster.nodes().get()) {
            brokers.addObject().put("id", node.id()).put("host", node.host()).put("port", node.port());
        }
        ObjectNode topics = answer.putObject("topics");
        Collection<String> names = admin.listTopics().names().get();
        for (KafkaFuture<TopicDescription> described : admin.describeTopics(names).topicNameValues().values()) {
            try {
                describe(described.get(), topics);
            } catch (ExecutionException error) {
                // Deleted since it was listed, or by a broker that has not heard of that yet.
                if (!(error.getCause() instanceof UnknownTopicOrPartitionException)) {
                    throw error;
                }
            }
        }
    }

    private static void describe(TopicDescription topic, ObjectNode topics) {
        ArrayNode partitions = topics.putArray(topic.name());
        for (TopicPartitionInfo info : topic.partitions()) {
            ObjectNode partition = partitions.addObject();
            partition.put("p", info.partition()).put("leader", info.leader().id());
            ids(partition.putArray("replicas"), info.replicas());
            ids(partition.putArray("isr"), info.isr());
        }
    }

    private static void ids(ArrayNode ids, List<Node> nodes) {
        nodes.forEach(node -> ids.add(node.id()));
    }

    private void createTopic(JsonNode request) throws Exception {
        Map<String, String> configs = new HashMap<>();
        request.path("configs").fields().forEachRemaining(e -> configs.put(e.getKey(), e.getValue().asText()));
        short replicas = request.get("replicas").shortValue();
        NewTopic topic = new NewTopic(topic(request), request.get("partitions").asInt(), replicas);
        admin.createTopics(List.of(topic.configs(configs))).all().get();
    }

    private void describeConfigs(JsonNode request, ObjectNode answer) throws Exception {
        ConfigResource resource = resource(request);
        ObjectNode configs = answer.putObject("configs");
        for (ConfigEntry entry : admin.describeConfigs(List.of(resource)).all().get().get(resource).entries()) {
            configs.putObject(entry.name()).put("value", entry.value()).put("default", entry.isDefault())
                    .put("source", entry.source().name()).put("type", entry.type().name());
        }
    }

    private void alterConfigs(JsonNode request) throws Exception {
        List<AlterConfigOp> ops = new ArrayList<>();
        request.path("set").fields().forEachRemaining(e -> ops.add(new AlterConfigOp(
                new ConfigEntry(e.getKey(), e.getValue().asText()), AlterConfigOp.OpType.SET)));
        request.path("delete").forEach(key -> ops.add(
                new AlterConfigOp(new ConfigEntry(key.asText(), null), AlterConfigOp.OpType.DELETE)));
        admin.incrementalAlterConfigs(Map.of(resource(request), ops)).all().get();
    }

    private void listOffsets(JsonNode request, ObjectNode answer) throws Exception {
        JsonNode at = request.get("at");
        OffsetSpec spec = switch (at.asText()) {
            case "earliest" -> OffsetSpec.earliest();
            case "latest" -> OffsetSpec.latest();
            case "max" -> OffsetSpec.maxTimestamp();
            default -> OffsetSpec.forTimestamp(at.asLong());
        };
        ListOffsetsResultInfo found =
                admin.listOffsets(Map.of(partition(request), spec)).partitionResult(partition(request)).get();
        answer.put("offset", found.offset()).put("timestamp", found.timestamp());
    }

    private void logDirs(ObjectNode answer) throws Exception {
        List<Integer> brokers = admin.describeCluster().nodes().get().stream().map(Node::id).toList();
        ArrayNode dirs = answer.putArray("dirs");
        admin.describeLogDirs(brokers).allDescriptions().get().values().forEach(described ->
                described.forEach((path, dir) -> logDir(dirs.addObject().put("path", path), dir)));
    }

    private static void logDir(ObjectNode json, LogDirDescription dir) {
        json.put("total", dir.totalBytes().orElse(-1));
        json.put("usable", dir.usableBytes().orElse(-1));
        ArrayNode replicas = json.putArray("replicas");
        dir.replicaInfos().forEach((partition, info) -> replicas.addObject()
                .put("topic", partition.topic()).put("partition", partition.partition())
                .put("size", info.size()).put("lag", info.offsetLag()));
    }

    private void quorum(ObjectNode answer) throws Exception {
        QuorumInfo quorum = admin.describeMetadataQuorum().quorumInfo().get();
        answer.put("leader", quorum.leaderId()).put("epoch", quorum.leaderEpoch());
        answer.put("high_watermark", quorum.highWatermark());
        ArrayNode voters = answer.putArray("voters");
        quorum.voters().forEach(voter -> voters.add(voter.replicaId()));
    }

    private static ConfigResource resource(JsonNode request) {
        return request.has("broker")
                ? new ConfigResource(ConfigResource.Type.BROKER, request.get("broker").asText())
                : new ConfigResource(ConfigResource.Type.TOPIC, topic(request));
    }

    private static String topic(JsonNode request) {
        return request.get("topic").asText();
    }

    private static TopicPartition partition(JsonNode request) {
        return new TopicPartition(topic(request), request.get("partition").asInt());
    }
}
