import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import org.apache.kafka.common.message.ApiMessageType;
import org.apache.kafka.common.message.RequestHeaderData;
import org.apache.kafka.common.message.ResponseHeaderData;
import org.apache.kafka.common.protocol.ApiKeys;
import org.apache.kafka.common.protocol.ApiMessage;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.protocol.ObjectSerializationCache;
import org.apache.kafka.coordinator.group.generated.CoordinatorRecordType;

/**
 * What Kafka's generated classes make of our bytes. One question per line, one answer per line:
 *   KEY request|response VERSION HEX    the same message, read and written again
 *   KEY request|response VERSION -      the message that has its defaults only
 *   header request|response VERSION HEX the same for headers
 *   data NAME VERSION HEX               the same for what stands in records and in bytes of other messages
 *   errors                              CODE NAME RETRIABLE of every error, then an empty line
 *   apis                                KEY NAME OLDEST LATEST of every API, then an empty line
 *   records                             TYPE KEY VALUE OLDEST LATEST of every record type, then an empty line
 */
public final class Recode {
    public static void main(String[] arguments) throws Exception {
        var lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            System.out.println(answer(line.split(" ", -1)));
            System.out.flush();
        }
    }

    private static String answer(String[] words) {
        try {
            return switch (words[0]) {
                case "errors" -> errors();
                case "apis" -> apis();
                case "records" -> records();
                default -> recode(message(words[0], words[1]), Short.parseShort(words[2]), words[3]);
            };
        } catch (RuntimeException | ReflectiveOperationException e) {
            return "refused: " + e;
        }
    }

    private static ApiMessage message(String key, String direction) throws ReflectiveOperationException {
        if (key.equals("data")) {
            return data(direction);
        }
        boolean isRequest = direction.equals("request");
        if (key.equals("header")) {
            return isRequest ? new RequestHeaderData() : new ResponseHeaderData();
        }
        ApiMessageType type = ApiMessageType.fromApiKey(Short.parseShort(key));
        return isRequest ? type.newRequest() : type.newResponse();
    }

    private static ApiMessage data(String name) throws ReflectiveOperationException {
        boolean isOfClients = name.startsWith("ConsumerProtocol");
        String where = isOfClients ? "org.apache.kafka.common.message." : "org.apache.kafka.coordinator.group.generated.";
        return (ApiMessage) Class.forName(where + name).getConstructor().newInstance();
    }

    private static String recode(ApiMessage message, short version, String hex) {
        if (!hex.equals("-")) {
            ByteBuffer bytes = ByteBuffer.wrap(HexFormat.of().parseHex(hex));
            message.read(new ByteBufferAccessor(bytes), version);
            if (bytes.hasRemaining()) {
                return "left over: " + bytes.remaining();
            }
        }
        var cache = new ObjectSerializationCache();
        ByteBuffer again = ByteBuffer.allocate(message.size(cache, version));
        message.write(new ByteBufferAccessor(again), cache, version);
        return HexFormat.of().formatHex(again.array());
    }

    private static String errors() {
        var out = new StringBuilder();
        for (Errors error : Errors.values()) {
            boolean isRetriable = error.exception() instanceof org.apache.kafka.common.errors.RetriableException;
            out.append(error.code()).append(' ').append(error.name()).append(' ').append(isRetriable).append('\n');
        }
        return out.toString();
    }

    private static String apis() {
        var out = new StringBuilder();
        for (ApiKeys api : ApiKeys.values()) {
            out.append(api.id).append(' ').append(api.name).append(' ').append(api.oldestVersion());
            out.append(' ').append(api.latestVersion(false)).append('\n');
        }
        return out.toString();
    }

    private static String records() {
        var out = new StringBuilder();
        for (CoordinatorRecordType type : CoordinatorRecordType.values()) {
            out.append(type.id()).append(' ').append(type.newRecordKey().getClass().getSimpleName()).append(' ');
            out.append(type.newRecordValue().getClass().getSimpleName()).append(' ');
            out.append(type.lowestSupportedVersion()).append(' ').append(type.highestSupportedVersion()).append('\n');
        }
        return out.toString();
    }
}
