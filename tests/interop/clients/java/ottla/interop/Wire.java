package ottla.interop;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.DataInputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStreamReader;
import java.lang.reflect.Method;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.Type;
import java.net.Socket;
import java.net.SocketException;
import java.nio.ByteBuffer;
import java.util.AbstractCollection;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Collection;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.message.ApiMessageType;
import org.apache.kafka.common.protocol.ApiKeys;
import org.apache.kafka.common.protocol.ApiMessage;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.requests.RequestHeader;
import org.apache.kafka.common.requests.RequestUtils;
import org.apache.kafka.common.requests.ResponseHeader;

/**
 * Sends single requests of any API and version with Kafka's own message classes, and prints what came back.
 *
 * A line is {"api", "version", "request"}: the request's fields by name, those left out have Kafka's defaults; records
 * are base64. The answer is {"response"}, or {"closed": true} if the broker ended the connection. {"raw"} sends the
 * bytes as they are and answers {"raw"}.
 */
public final class Wire {
    private final String host;
    private final int port;
    private Socket socket;
    private int correlation = 0;

    private Wire(String bootstrap) {
        String[] parts = bootstrap.split(":");
        host = parts[0];
        port = Integer.parseInt(parts[1]);
    }

    public static void main(String[] args) throws Exception {
        Wire wire = new Wire(args[0]);
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            ObjectNode answer = Driver.JSON.createObjectNode();
            try {
                wire.answer(Driver.JSON.readTree(line), answer);
            } catch (EOFException | SocketException error) {
                wire.disconnect();
                answer.put("closed", true);
            } catch (Exception error) {
                wire.disconnect();
                Throwable cause = error.getCause() == null ? error : error.getCause();
                answer.put("error", cause.toString());
            }
            System.out.println(Driver.JSON.writeValueAsString(answer));
            System.out.flush();
        }
    }

    private void answer(JsonNode line, ObjectNode answer) throws Exception {
        if (line.has("raw")) {
            send(ByteBuffer.wrap(Base64.getDecoder().decode(line.get("raw").asText())));
            answer.put("raw", Base64.getEncoder().encodeToString(receive().array()));
            return;
        }
        ApiKeys api = ApiKeys.forId(line.get("api").asInt());
        short version = (short) line.get("version").asInt();
        ApiMessageType type = ApiMessageType.fromApiKey(api.id);
        ApiMessage request = type.newRequest();
        fill(request, line.get("request"));
        RequestHeader header = new RequestHeader(api, version, "wire", ++correlation);
        ByteBuffer body = RequestUtils.serialize(header.data(), header.headerVersion(), request, version);
        ByteBuffer frame = ByteBuffer.allocate(4 + body.remaining());
        frame.putInt(body.remaining()).put(body).flip();
        send(frame);
        if (line.path("silent").asBoolean(false)) {
            return;
        }
        ByteBuffer reply = receive();
        ResponseHeader.parse(reply, api.responseHeaderVersion(version));
        ApiMessage response = type.newResponse();
        response.read(new ByteBufferAccessor(reply), version);
        Class<?> converter = Class.forName(response.getClass().getName() + "JsonConverter");
        Method write = converter.getMethod("write", response.getClass(), short.class, boolean.class);
        answer.set("response", (JsonNode) write.invoke(null, response, version, false));
        if (reply.hasRemaining()) {
            answer.put("left", reply.remaining());
        }
    }

    private void send(ByteBuffer frame) throws IOException {
        if (socket == null) {
            socket = new Socket(host, port);
            socket.setSoTimeout(5_000);
        }
        socket.getOutputStream().write(frame.array(), frame.position(), frame.remaining());
        socket.getOutputStream().flush();
    }

    private ByteBuffer receive() throws IOException {
        DataInputStream in = new DataInputStream(socket.getInputStream());
        byte[] frame = new byte[in.readInt()];
        in.readFully(frame);
        return ByteBuffer.wrap(frame);
    }

    private void disconnect() throws IOException {
        if (socket != null) {
            socket.close();
            socket = null;
        }
    }

    /** Sets the fields that the JSON names, by their setters. */
    private static void fill(Object message, JsonNode fields) throws Exception {
        for (Iterator<Map.Entry<String, JsonNode>> it = fields.fields(); it.hasNext(); ) {
            Map.Entry<String, JsonNode> field = it.next();
            String name = "set" + field.getKey().substring(0, 1).toUpperCase() + field.getKey().substring(1);
            Method setter = null;
            for (Method method : message.getClass().getMethods()) {
                if (method.getName().equals(name) && method.getParameterCount() == 1) {
                    setter = method;
                }
            }
            if (setter == null) {
                throw new IllegalArgumentException(message.getClass().getSimpleName() + " has no " + field.getKey());
            }
            setter.invoke(message, value(setter.getGenericParameterTypes()[0], field.getValue()));
        }
    }

    private static Object value(Type type, JsonNode json) throws Exception {
        if (json.isNull()) {
            return null;
        }
        if (type instanceof ParameterizedType list) {
            List<Object> values = new ArrayList<>();
            for (JsonNode element : json) {
                values.add(value(list.getActualTypeArguments()[0], element));
            }
            return values;
        }
        Class<?> of = (Class<?>) type;
        if (of == String.class) {
            return json.asText();
        } else if (of == int.class || of == Integer.class) {
            return json.asInt();
        } else if (of == short.class || of == Short.class) {
            return (short) json.asInt();
        } else if (of == byte.class || of == Byte.class) {
            return (byte) json.asInt();
        } else if (of == long.class || of == Long.class) {
            return json.asLong();
        } else if (of == boolean.class) {
            return json.asBoolean();
        } else if (of == Uuid.class) {
            return Uuid.fromString(json.asText());
        } else if (of == byte[].class) {
            return Base64.getDecoder().decode(json.asText());
        } else if (of.isAssignableFrom(MemoryRecords.class)) {
            return MemoryRecords.readableRecords(ByteBuffer.wrap(Base64.getDecoder().decode(json.asText())));
        } else if (AbstractCollection.class.isAssignableFrom(of)) {
            return collection(of, json);
        }
        Object message = of.getConstructor().newInstance();
        fill(message, json);
        return message;
    }

    /** A generated collection knows its element only by its superclass's type argument. */
    @SuppressWarnings("unchecked")
    private static Object collection(Class<?> of, JsonNode json) throws Exception {
        Collection<Object> values = (Collection<Object>) of.getConstructor().newInstance();
        Type element = ((ParameterizedType) of.getGenericSuperclass()).getActualTypeArguments()[0];
        for (JsonNode each : json) {
            values.add(value(element, each));
        }
        return values;
    }
}
