// A near cache in front of a hotshelf node: `java -cp caffeine.jar NearCache.java 8080 http://127.0.0.1:7400`.

import com.github.benmanes.caffeine.cache.Cache;
import com.github.benmanes.caffeine.cache.Caffeine;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.*;
import java.net.*;
import java.net.http.*;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.*;
import java.util.concurrent.Executors;
import java.util.regex.*;

public final class NearCache {
    static final Duration BOUND = Duration.ofSeconds(2); // the nodes' coherence.staleness_bound_ms; less is possible, more is not
    static final Duration RENEWAL = Duration.ofMinutes(10); // then a stream is opened anew: two machines' clocks drift apart
    static final Pattern PRODUCT = Pattern.compile("\"namespace\":\"products\",\"id\":\"([^\"]*)\"(?:,\"version\":\"([^\"]*)\")?");
    static final Pattern PROVEN = Pattern.compile("\"until_ms\":(-?\\d+)"), TTL = Pattern.compile("; hit; ttl=(\\d+)");

    // Of a hot product. What was asked for before the barrier may miss a change that nobody tells any more, what is below the floor does.
    record Slot(long barrier, long floor) {}

    record Copy(HttpResponse<byte[]> answer, long version, long until) {}

    final HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
    final Cache<String, Copy> copies =
            Caffeine.newBuilder().maximumWeight(64 << 20).weigher((String id, Copy copy) -> copy.answer.body().length + 1000).build();
    final Map<String, Slot> hot = new HashMap<>();
    String node;
    volatile long proven = System.nanoTime() - BOUND.toNanos(); // all changes up to this moment were told

    // The node knows what it has told; if another one could answer, which is behind it, the barrier would be later by the bound.
    static Slot empty() {
        return new Slot(System.nanoTime(), 0);
    }

    synchronized void apply(String event, String data, long opened) {
        Matcher proof = PROVEN.matcher(data);
        if (event.equals("/v1/changes proof") && proof.find()) {
            // Of a moment so long after the node began this stream, which we had asked for before.
            proven = opened + Duration.ofMillis(Long.parseLong(proof.group(1))).toNanos();
        } else if (event.equals("/v1/hot reset")) {
            hot.clear();
            copies.invalidateAll();
        } else if (event.equals("/v1/changes reset") || data.contains("\"bumps\"") || data.contains("\\")) {
            // What is escaped is not read below, so it may be any product.
            hot.replaceAll((id, slot) -> empty());
            copies.invalidateAll();
        }
        for (MatchResult product : PRODUCT.matcher(data).results().toList()) {
            String id = product.group(1);
            Slot slot = hot.get(id);
            if (event.equals("/v1/hot demote")) {
                hot.remove(id);
            } else if (event.startsWith("/v1/hot ")) {
                hot.put(id, empty());
            } else if (slot != null && slot.floor < number(product.group(2))) {
                hot.put(id, new Slot(slot.barrier, number(product.group(2))));
            } else {
                continue;
            }
            copies.invalidate(id);
        }
    }

    synchronized void keep(String id, long asked, HttpResponse<byte[]> answer) {
        Slot slot = hot.get(id);
        Matcher ttl = TTL.matcher(answer.headers().firstValue("Cache-Status").orElse("")); // neither a miss nor a stale answer has one
        long version = number(answer.headers().firstValue("Hotshelf-Version").orElse("0-0"));
        if (slot != null && asked - slot.barrier > 0 && version >= slot.floor && answer.statusCode() == 200 && ttl.find()) {
            hot.put(id, new Slot(slot.barrier, version));
            copies.put(id, new Copy(answer, version, asked + Duration.ofSeconds(Long.parseLong(ttl.group(1))).toNanos()));
        }
    }

    // Follows server-sent events for ever; goes on after the last one when they end or fall silent.
    void follow(String path) {
        Map<String, String> fields = new HashMap<>();
        for (String since = ""; ; fields.clear()) {
            long opened = System.nanoTime();
            try (var stream = URI.create(node + path + since).toURL().openStream()) {
                var lines = new BufferedReader(new InputStreamReader(stream, StandardCharsets.UTF_8));
                for (String line; (line = lines.readLine()) != null && System.nanoTime() - opened < RENEWAL.toNanos(); ) {
                    String[] field = line.split(": ", 2);
                    if (field.length == 2) {
                        fields.put(field[0], field[1]);
                        continue;
                    }
                    apply(path + " " + fields.get("event"), fields.getOrDefault("data", ""), opened);
                    since = fields.containsKey("id") ? "?since=" + fields.get("id") : since;
                    fields.clear();
                }
            } catch (IOException broken) {
                java.util.concurrent.locks.LockSupport.parkNanos(100_000_000);
            }
        }
    }

    void answer(HttpExchange exchange) throws IOException {
        if (!exchange.getRequestMethod().equals("GET")) {
            exchange.sendResponseHeaders(405, -1);
            return;
        }
        long asked = System.nanoTime();
        String path = exchange.getRequestURI().toString(), id = path.substring("/v1/products/".length());
        String least = exchange.getRequestHeaders().getOrDefault("Hotshelf-Min-Version", List.of("0-0")).get(0);
        Copy copy = asked - proven <= BOUND.toNanos() ? copies.getIfPresent(id) : null; // in this order
        boolean isHit = copy != null && asked - copy.until < 0 && copy.version >= number(least);
        try {
            var request = HttpRequest.newBuilder(URI.create(node + path)).header("Hotshelf-Min-Version", least).timeout(BOUND.multipliedBy(2));
            var answer = isHit ? copy.answer : client.send(request.build(), HttpResponse.BodyHandlers.ofByteArray());
            for (String name : List.of("Content-Type", "Hotshelf-Version", "Hotshelf-Stale", "Cache-Status")) {
                answer.headers().firstValue(name).ifPresent(value -> exchange.getResponseHeaders().set(name, value));
            }
            if (isHit) {
                exchange.getResponseHeaders().set("Cache-Status", "near; hit; detail=near");
            } else {
                keep(id, asked, answer);
            }
            exchange.sendResponseHeaders(answer.statusCode(), answer.body().length);
            exchange.getResponseBody().write(answer.body());
        } catch (IOException | InterruptedException failed) {
            exchange.sendResponseHeaders(502, -1);
        } finally {
            exchange.close();
        }
    }

    static long number(String version) {
        String[] parts = version.split("-");
        return Long.parseLong(parts[0]) << 40 | Long.parseLong(parts[1]);
    }

    public static void main(String[] args) throws IOException {
        System.setProperty("sun.net.httpserver.nodelay", "true");
        System.setProperty("sun.net.client.defaultConnectTimeout", "2000");
        System.setProperty("sun.net.client.defaultReadTimeout", "6000");
        NearCache near = new NearCache();
        near.node = args[1];
        new Thread(() -> near.follow("/v1/hot")).start();
        new Thread(() -> near.follow("/v1/changes")).start();
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(args[0])), 0);
        server.createContext("/v1/products/", near::answer);
        server.setExecutor(Executors.newCachedThreadPool());
        server.start();
    }
}
