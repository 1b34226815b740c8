// Netty's client handshakers, as hixie-76, version 7, 8 or 13.
// java NettyClient 76|7|8|13 PLAN...

import io.netty.bootstrap.Bootstrap;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.ByteBufUtil;
import io.netty.buffer.Unpooled;
import io.netty.channel.Channel;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInitializer;
import io.netty.channel.ChannelOption;
import io.netty.channel.FixedRecvByteBufAllocator;
import io.netty.channel.SimpleChannelInboundHandler;
import io.netty.channel.nio.NioEventLoopGroup;
import io.netty.channel.socket.nio.NioSocketChannel;
import io.netty.handler.codec.http.DefaultHttpHeaders;
import io.netty.handler.codec.http.FullHttpResponse;
import io.netty.handler.codec.http.HttpClientCodec;
import io.netty.handler.codec.http.HttpHeaders;
import io.netty.handler.codec.http.HttpObjectAggregator;
import io.netty.handler.codec.http.websocketx.BinaryWebSocketFrame;
import io.netty.handler.codec.http.websocketx.CloseWebSocketFrame;
import io.netty.handler.codec.http.websocketx.PingWebSocketFrame;
import io.netty.handler.codec.http.websocketx.PongWebSocketFrame;
import io.netty.handler.codec.http.websocketx.TextWebSocketFrame;
import io.netty.handler.codec.http.websocketx.WebSocketClientHandshaker;
import io.netty.handler.codec.http.websocketx.WebSocketClientHandshakerFactory;
import io.netty.handler.codec.http.websocketx.WebSocketFrame;
import io.netty.handler.codec.http.websocketx.WebSocketFrameAggregator;
import io.netty.handler.codec.http.websocketx.WebSocketVersion;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.List;

public class NettyClient extends SimpleChannelInboundHandler<Object> {
    private static final int MAX_MESSAGE = 1 << 20;

    private final Plan plan;
    private final WebSocketClientHandshaker handshaker;
    private int received;
    private boolean closing;
    private String ending = "closed fin";

    public static void main(String[] args) throws Exception {
        WebSocketVersion version = args[0].equals("76") ? WebSocketVersion.V00
            : args[0].equals("7") ? WebSocketVersion.V07
            : args[0].equals("8") ? WebSocketVersion.V08
            : WebSocketVersion.V13;
        NioEventLoopGroup loop = new NioEventLoopGroup(1);
        for (int i = 1; i < args.length; i++) {
            new NettyClient(new Plan(args[i]), version).run(loop);
        }
        System.exit(0);
    }

    private NettyClient(Plan plan, WebSocketVersion version) {
        this.plan = plan;
        this.handshaker = WebSocketClientHandshakerFactory.newHandshaker(
            plan.url, version, plan.protocol, false, plan.headers, MAX_MESSAGE);
    }

    private void run(NioEventLoopGroup loop) throws Exception {
        Bootstrap bootstrap = new Bootstrap().group(loop).channel(NioSocketChannel.class);
        // By default it reads 1024 bytes first, and it loses a hixie message that arrives in two reads.
        bootstrap.option(ChannelOption.RCVBUF_ALLOCATOR, new FixedRecvByteBufAllocator(1 << 16));
        bootstrap.handler(
            new ChannelInitializer<Channel>() {
                @Override
                protected void initChannel(Channel channel) {
                    channel.pipeline().addLast(
                        new HttpClientCodec(), new HttpObjectAggregator(8192), NettyClient.this);
                }
            });
        Channel channel = bootstrap.connect(plan.url.getHost(), plan.url.getPort()).sync().channel();
        channel.closeFuture().sync();
        say(ending);
    }

    @Override
    public void channelActive(ChannelHandlerContext context) {
        handshaker.handshake(context.channel());
    }

    @Override
    protected void channelRead0(ChannelHandlerContext context, Object message) {
        if (!handshaker.isHandshakeComplete()) {
            handshaker.finishHandshake(context.channel(), (FullHttpResponse) message);
            // Netty hands over fragments one by one unless asked to join them.
            context.pipeline().addBefore(
                context.name(), "join", new WebSocketFrameAggregator(MAX_MESSAGE));
            String protocol = handshaker.actualSubprotocol();
            say("open " + (protocol == null ? "-" : protocol) + " -");
        } else if (message instanceof PingWebSocketFrame) {
            context.writeAndFlush(new PongWebSocketFrame(((WebSocketFrame) message).content().retain()));
        } else if (message instanceof CloseWebSocketFrame) {
            closed(context, (CloseWebSocketFrame) message);
        } else {
            received++;
            say((message instanceof TextWebSocketFrame ? "text " : "binary ")
                + ByteBufUtil.hexDump(((WebSocketFrame) message).content()));
        }
        proceed(context);
    }

    private void closed(ChannelHandlerContext context, CloseWebSocketFrame frame) {
        // In hixie-76 the frame is FF 00: it has no body, and Netty gives it the code -1.
        ending = handshaker.version() == WebSocketVersion.V00 ? "closed ff00"
            : frame.statusCode() < 0 ? "closed 1005 "
            : "closed " + frame.statusCode() + " "
                + ByteBufUtil.hexDump(frame.reasonText().getBytes(StandardCharsets.UTF_8));
        if (!closing) {
            handshaker.close(context.channel(), frame.retain());
        }
    }

    private void proceed(ChannelHandlerContext context) {
        while (!plan.steps.isEmpty()) {
            String[] words = plan.steps.get(0);
            if (words[0].equals("await") && received < Integer.parseInt(words[1])) {
                return;
            }
            plan.steps.remove(0);
            if (words[0].equals("text")) {
                context.writeAndFlush(new TextWebSocketFrame(unhex(words[1])));
            } else if (words[0].equals("binary")) {
                context.writeAndFlush(new BinaryWebSocketFrame(unhex(words[1])));
            } else if (words[0].equals("close")) {
                say("closing");
                closing = true;
                context.writeAndFlush(words.length == 1 ? new CloseWebSocketFrame()
                    : new CloseWebSocketFrame(
                        Integer.parseInt(words[1]), unhex(words[2]).toString(StandardCharsets.UTF_8)));
            }
        }
    }

    @Override
    public void exceptionCaught(ChannelHandlerContext context, Throwable cause) {
        ending = "failed " + cause.toString().replaceAll("\\s+", " ");
        context.close();
    }

    private static ByteBuf unhex(String hex) {
        return Unpooled.wrappedBuffer(ByteBufUtil.decodeHexDump(hex));
    }

    private static void say(String line) {
        System.out.println(line);
    }

    private static class Plan {
        URI url;
        String protocol;
        final HttpHeaders headers = new DefaultHttpHeaders();
        final List<String[]> steps = new ArrayList<>();

        Plan(String file) throws Exception {
            for (String line : Files.readAllLines(Paths.get(file), StandardCharsets.US_ASCII)) {
                String[] words = line.split(" ", -1);
                switch (words[0]) {
                    case "connect": url = new URI(words[1]); break;
                    case "protocol": protocol = words[1]; break;
                    case "cookie": headers.add("Cookie", words[1]); break;
                    // The handshakers write their own, made of the host.
                    case "origin": break;
                    default: steps.add(words);
                }
            }
        }
    }
}
