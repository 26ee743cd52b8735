// Prints the chat username and the token of a user: java Sample.java USER
// A back end reads the answer with its JSON library; here two patterns do, so that the sample needs none.

import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

public class Sample {
    public static void main(String[] arguments) throws Exception {
        String server = System.getenv().getOrDefault("TOKEN_SERVER", "http://127.0.0.1:7180");
        String body = "{\"user\":\"" + arguments[0].replace("\\", "\\\\").replace("\"", "\\\"") + "\"}";
        HttpRequest request = HttpRequest.newBuilder(URI.create(server + "/v1/tokens/user"))
            .header("Content-Type", "application/json")
            .timeout(Duration.ofSeconds(20))
            .POST(HttpRequest.BodyPublishers.ofString(body))
            .build();
        // The token server speaks HTTP/1.1.
        HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
        HttpResponse<String> response = client.send(request, HttpResponse.BodyHandlers.ofString());
        if (response.statusCode() != 200) {
            throw new IllegalStateException(response.statusCode() + " " + response.body());
        }
        System.out.println(field(response.body(), "username") + " " + field(response.body(), "token"));
    }

    private static String field(String json, String name) {
        Matcher found = Pattern.compile("\"" + name + "\":\"([^\"]*)\"").matcher(json);
        if (!found.find()) {
            throw new IllegalStateException("no " + name);
        }
        return found.group(1);
    }
}
