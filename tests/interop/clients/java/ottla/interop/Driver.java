package ottla.interop;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.util.Properties;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.Admin;

/**
 * The Java column of the table: one JSON request per line on stdin, one JSON answer per line on stdout.
 * What the client has no call for is answered as `unsupported`.
 */
public final class Driver {
    static final ObjectMapper JSON = new ObjectMapper();

    public static void main(String[] args) throws Exception {
        String bootstrap = args[0];
        Data data = new Data(bootstrap);
        try (AdminOps admin = new AdminOps(bootstrap)) {
            BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
            for (String line = in.readLine(); line != null; line = in.readLine()) {
                JsonNode request = JSON.readTree(line);
                System.out.println(JSON.writeValueAsString(answer(request, admin, data)));
                System.out.flush();
            }
        }
    }

    private static ObjectNode answer(JsonNode request, AdminOps admin, Data data) {
        ObjectNode answer = JSON.createObjectNode();
        try {
            answer.put("ok", true);
            switch (request.get("op").asText()) {
                case "hello" -> answer.put("version", "kafka-clients " + version());
                case "produce" -> data.produce(request, answer);
                case "consume" -> data.consume(request, answer);
                default -> {
                    if (!admin.answer(request, answer)) {
                        answer.put("ok", false).put("unsupported", true);
                    }
                }
            }
        } catch (Exception error) {
            Throwable cause = error instanceof ExecutionException ? error.getCause() : error;
            answer.put("ok", false).put("error", cause.getClass().getSimpleName() + ": " + cause.getMessage());
        }
        return answer;
    }

    private static String version() throws IOException {
        Properties properties = new Properties();
        try (InputStream in = Admin.class.getResourceAsStream("/kafka/kafka-version.properties")) {
            properties.load(in);
        }
        return properties.getProperty("version");
    }
}
