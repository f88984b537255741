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
public final class Driver implements AutoCloseable {
    static final ObjectMapper JSON = new ObjectMapper();

    private final String bootstrap;
    private final Data data;
    private AdminOps admin;
    private Member member;

    public static void main(String[] args) throws Exception {
        try (Driver driver = new Driver(args[0])) {
            BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
            for (String line = in.readLine(); line != null; line = in.readLine()) {
                System.out.println(JSON.writeValueAsString(driver.answer(JSON.readTree(line))));
                System.out.flush();
            }
        }
    }

    private Driver(String bootstrap) {
        this.bootstrap = bootstrap;
        data = new Data(bootstrap);
    }

    @Override
    public void close() {
        if (admin != null) {
            admin.close();
        }
    }

    private ObjectNode answer(JsonNode request) {
        ObjectNode answer = JSON.createObjectNode();
        try {
            answer.put("ok", true);
            switch (request.get("op").asText()) {
                case "hello" -> answer.put("version", "kafka-clients " + version());
                case "produce" -> data.produce(request, answer);
                case "consume" -> data.consume(request, answer);
                case "join" -> member = new Member(bootstrap, request);
                case "leave" -> member.leave();
                default -> {
                    if (!admin().answer(request, answer)) {
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

    /** Opened when it is first needed: a process that is a member of a group needs none. */
    private AdminOps admin() {
        if (admin == null) {
            admin = new AdminOps(bootstrap);
        }
        return admin;
    }

    private static String version() throws IOException {
        Properties properties = new Properties();
        try (InputStream in = Admin.class.getResourceAsStream("/kafka/kafka-version.properties")) {
            properties.load(in);
        }
        return properties.getProperty("version");
    }
}
