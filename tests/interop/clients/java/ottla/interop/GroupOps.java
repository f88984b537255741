package ottla.interop;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.GroupListing;
import org.apache.kafka.clients.admin.MemberDescription;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;

/** The AdminClient's operations on groups. */
final class GroupOps {
    private final Admin admin;

    GroupOps(Admin admin) {
        this.admin = admin;
    }

    /** False if this client has no such operation. */
    boolean answer(JsonNode request, ObjectNode answer) throws Exception {
        String group = request.path("group").asText();
        switch (request.get("op").asText()) {
            case "list_groups" -> list(answer.putObject("groups"));
            case "describe_group" -> describe(group, answer);
            case "group_offsets" -> {
                ObjectNode offsets = answer.putObject("offsets");
                admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get().forEach((at, offset) ->
                        offsets.put(Integer.toString(at.partition()), offset.offset()));
            }
            case "alter_group_offsets" -> {
                Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
                request.get("offsets").fields().forEachRemaining(e -> offsets.put(
                        partition(request, Integer.parseInt(e.getKey())), new OffsetAndMetadata(e.getValue().asLong())));
                admin.alterConsumerGroupOffsets(group, offsets).all().get();
            }
            case "delete_group_offsets" -> admin.deleteConsumerGroupOffsets(
                    group, Set.of(partition(request, request.get("partition").asInt()))).all().get();
            case "delete_group" -> admin.deleteConsumerGroups(List.of(group)).all().get();
            default -> {
                return false;
            }
        }
        return true;
    }

    private void list(ObjectNode groups) throws Exception {
        for (GroupListing group : admin.listGroups().all().get()) {
            groups.put(group.groupId(), group.groupState().map(Object::toString).orElse(""));
        }
    }

    private void describe(String group, ObjectNode answer) throws Exception {
        ConsumerGroupDescription found = admin.describeConsumerGroups(List.of(group)).all().get().get(group);
        answer.put("state", found.groupState().toString()).put("assignor", found.partitionAssignor());
        ArrayNode members = answer.putArray("partitions");
        for (MemberDescription member : found.members()) {
            ArrayNode partitions = members.addArray();
            member.assignment().topicPartitions().stream().map(TopicPartition::partition).sorted()
                    .forEach(partitions::add);
        }
    }

    private static TopicPartition partition(JsonNode request, int partition) {
        return new TopicPartition(request.get("topic").asText(), partition);
    }
}
