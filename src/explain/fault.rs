//! Every fault that is known by name: the rule it breaks, what it means, and the remedy.

use std::fmt;

use super::Rule;

/// The rows: variant, rule, name, meaning, remedy. One place for the words, so that `--list` and a finding say the same.
macro_rules! faults {
    ($($variant:ident $rule:ident $name:literal $meaning:literal $remedy:expr;)*) => {
        /// A fault of a deployment, by its stable name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[allow(missing_docs, reason = "each has its words in one place below")]
        pub enum Fault { $($variant,)* }

        impl Fault {
            /// Every fault, in the order in which a connection could meet them.
            pub const ALL: &'static [Fault] = &[$(Fault::$variant,)*];

            fn row(self) -> (Rule, &'static str, &'static str, &'static str) {
                match self { $(Fault::$variant => (Rule::$rule, $name, $meaning, $remedy),)* }
            }
        }
    };
}

const FRONT_UPGRADE: &str = "let the front pass the upgrade on (nginx: proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection \"Upgrade\"; HAProxy: mode tcp; Varnish: pipe), or put hybridge where clients connect; against hops nobody can change, offer wss, which they cannot read";
const FRONT_KEYS: &str = "let hixie-76 reach hybridge untouched: in front use HAProxy in mode tcp, Varnish pipe, hitch or stunnel, or nginx and Apache with the recipes in examples/, or let clients connect to hybridge itself";
const PUBLIC_URL: &str = "let the front say so (PROXY protocol, or X-Forwarded-Proto and -Host from an address in forwarded.trusted), or set public_url on the route to the URL that the page opens: \"wss\" behind a TLS terminator, or wss://HOST/PREFIX where a front changes host or path; with another server, set its own public address";
const ANSWER_SERVER: &str =
    "answer with a server that knows this client's dialect, as hybridge does, and let no front rewrite the answer";
const FRAME_SERVER: &str = "the sender of these frames must be mended, or what translates between the two; behind hybridge the backend speaks RFC 6455 only, and each client hears its own dialect";
const CLIENT_LIBRARY: &str =
    "no browser does this: look at the client's own library, and at proxies on the way that rewrite requests";
const BACKEND_POLICY: &str = "what refuses is the server or a hop in front of it: look there, with this request; hybridge hands a backend's refusal on as it is";
const BACKEND_AWAY: &str = "see that the backend runs and that the address in front of it (hybridge: upstream on the route) is right; hybridge's own log names the reason";

faults! {
    NoBytes FirstBytes "no-bytes" "the client connected and said nothing"
        "if this is a load balancer's health check, let it ask for a page by HTTP or do not mind it; else look for what keeps the client's bytes back";
    TlsOnPlainPort FirstBytes "tls-on-plain-port" "a TLS ClientHello came to a port that speaks plain text"
        "let the port speak TLS (hybridge: certificates on its [[listener]]), or end TLS in front of it; devices that stop at TLS 1.1 need a terminator that still speaks it, such as hitch or HAProxy, which old_tls can name";
    ProxyPreamble FirstBytes "proxy-preamble-unexpected" "a front sent a PROXY protocol preamble that this port does not expect"
        "name the front's address in proxy_protocol of the [[listener]], or switch the preamble off in the front (HAProxy: send-proxy or send-proxy-v2 on the server line; hitch and stunnel have such a setting too)";
    Http2Preface FirstBytes "http2-preface" "a front or client began with HTTP/2"
        "let the front speak HTTP/1.1 to this port: WebSocket clients of that age know nothing else";
    FlashPolicy FirstBytes "flash-policy-request" "Flash asked for its policy file before its handshake"
        "name the domain of the page in flash_policy of hybridge's listener, or answer policy requests on port 843 with a file that allows this port; without an answer the Flash shim goes no further";
    FrameFirst FirstBytes "frame-before-handshake" "the first bytes are a WebSocket frame, without an opening handshake"
        "something restarted or switched servers under an open connection, or took the handshake away: let the front hand a whole connection to one server";
    NotHttp FirstBytes "not-http" "the first bytes are neither HTTP nor anything else known"
        "see what else connects to this port: a scanner, another protocol, or TLS of a kind not known here";
    HeadUnfinished HeadWhole "head-unfinished" "the request stopped before its blank line"
        "look for a hop that drops or holds packets; on very slow lines raise timeouts.head";
    HeadTooLarge HeadWhole "head-too-large" "the request head is larger than the server reads"
        "raise limits.head_bytes (or the front's own limit), or find what fills it: mostly cookies";
    TooManyHeaders HeadReadable "too-many-headers" "the request has more headers than the server reads"
        "raise limits.head_fields, or find the chain of proxies that adds them";
    BareLineEnd HeadReadable "bare-line-end" "a line of the request ends in a lone CR or LF"
        CLIENT_LIBRARY;
    ControlCharacter HeadReadable "control-character" "a header of the request holds a NUL or another control character"
        CLIENT_LIBRARY;
    FoldedHeader HeadReadable "folded-header" "a header of the request goes on in the next line"
        "let the hop that folds long headers leave them on one line: folded ones are refused, as RFC 9112 demands";
    MalformedHeader HeadReadable "malformed-header" "a line of the request has no proper header name"
        CLIENT_LIBRARY;
    MalformedRequestLine HeadReadable "malformed-request-line" "the first line is not METHOD, target and HTTP version"
        CLIENT_LIBRARY;
    HttpVersion Addressed "http-version" "the request names an HTTP version that WebSocket clients do not speak"
        "let the front ask in HTTP/1.1";
    HostMissing Addressed "host-missing" "there is no Host header"
        "let the front pass Host on as it came, or write one";
    HostTwice Addressed "host-twice" "there are two Host headers"
        "let the front replace Host and not add one";
    HostMalformed Addressed "host-malformed" "Host is not a host and port"
        CLIENT_LIBRARY;
    Connect Addressed "connect-request" "the client took this server for its HTTP proxy: CONNECT"
        "take this address out of the client's proxy settings, or let the proxy in front answer CONNECT itself";
    ForeignTarget Addressed "target-of-another-host" "the request's target is no path, or names another host than Host does"
        "let the front pass target and Host on as they came";
    UpgradeStripped Upgrade "upgrade-stripped" "Upgrade was taken away on the way"
        FRONT_UPGRADE;
    UpgradeElse Upgrade "upgrade-to-something-else" "Upgrade asks for another protocol than WebSocket"
        "nothing is wrong if no WebSocket was wanted; else look for the hop that wrote this Upgrade";
    NotGet Method "not-a-get" "the handshake is not a GET"
        CLIENT_LIBRARY;
    Http10 HttpOneOne "http-1.0-downgrade" "a hop turned HTTP/1.1 into HTTP/1.0"
        "let the front speak HTTP/1.1 to this server (nginx: proxy_http_version 1.1, beside proxy_set_header Upgrade and Connection)";
    ConnectionStripped Connection "connection-stripped" "Connection was taken away on the way; Upgrade is still there"
        FRONT_UPGRADE;
    ConnectionWithoutUpgrade Connection "connection-without-upgrade" "Connection does not name Upgrade: a hop wrote its own"
        FRONT_UPGRADE;
    BodyAnnounced NoBody "body-announced" "the handshake announces a body"
        CLIENT_LIBRARY;
    BodyAmbiguous NoBody "body-ambiguous" "a plain HTTP request's body is framed in a way that two readers understand differently"
        "look at the client or hop that wrote both Content-Length and Transfer-Encoding, or either of them wrong";
    VersionTwice Version "version-twice" "Sec-WebSocket-Version stands there twice"
        CLIENT_LIBRARY;
    VersionMalformed Version "version-malformed" "Sec-WebSocket-Version is not one number from 0 to 255"
        CLIENT_LIBRARY;
    VersionDraft Version "version-of-a-draft" "the client speaks hybi-04 to hybi-06 (version 4, 5 or 6), which no browser shipped"
        "these clients are not served: they need a newer library, or the server they were written for";
    VersionUnknown Version "version-unknown" "Sec-WebSocket-Version is a number that was never in use"
        CLIENT_LIBRARY;
    VersionMissing Version "version-missing" "there is a Sec-WebSocket-Key and no Sec-WebSocket-Version"
        "look for a hop that drops headers it does not know; every client that sends a key sends a version";
    DraftAnnounced Version "draft-1-to-3" "Sec-WebSocket-Draft announces hybi-01 to hybi-03, whose frames differ"
        "these clients are not served: no browser shipped them; the client's library needs another version";
    KeyMissing Key "key-missing" "there is no Sec-WebSocket-Key"
        "look for a hop that drops Sec-WebSocket headers; a version is never sent without a key";
    KeyTwice Key "key-twice" "Sec-WebSocket-Key stands there twice"
        CLIENT_LIBRARY;
    KeyNotBase64 Key "key-not-base64" "Sec-WebSocket-Key is not base64"
        CLIENT_LIBRARY;
    KeyLength Key "key-length" "Sec-WebSocket-Key is not of 16 bytes"
        CLIENT_LIBRARY;
    HixieKeyAlone Key "hixie-key-alone" "one of Sec-WebSocket-Key1 and -Key2 came without the other"
        FRONT_KEYS;
    HixieKeyTwice Key "hixie-key-twice" "Sec-WebSocket-Key1 or -Key2 stands there twice"
        CLIENT_LIBRARY;
    HixieKeyTab Key "hixie-key-tab" "a hop wrote tabs for the spaces in Sec-WebSocket-Key1 or -Key2"
        FRONT_KEYS;
    HixieKeyNoSpace Key "hixie-key-without-spaces" "Sec-WebSocket-Key1 or -Key2 has no space: a hop took them away, or no browser sent it"
        FRONT_KEYS;
    HixieKeyCollapsed Key "hixie-key-spaces-collapsed" "a hop collapsed or trimmed the spaces in Sec-WebSocket-Key1 or -Key2"
        FRONT_KEYS;
    HixieKeyNoDigit Key "hixie-key-without-digits" "Sec-WebSocket-Key1 or -Key2 has no digit"
        CLIENT_LIBRARY;
    HixieKeyTooLarge Key "hixie-key-too-large" "the number in Sec-WebSocket-Key1 or -Key2 is above 4294967295"
        CLIENT_LIBRARY;
    OriginTwice Origin "origin-twice" "there are two Origin headers"
        "let the front leave Origin alone, or replace it and not add one";
    OriginMalformed Origin "origin-malformed" "Origin holds blanks or is not text"
        CLIENT_LIBRARY;
    SubprotocolMalformed Subprotocol "subprotocol-malformed" "the subprotocol asked for is not one that may be asked for"
        "change the second argument of `new WebSocket(url, protocol)` on the page: letters, digits and hyphens, no blanks";
    HixieKeysStripped Key3 "hixie-keys-stripped" "eight bytes follow a handshake without keys: Sec-WebSocket-Key1 and -Key2 were taken away"
        FRONT_KEYS;
    Key3Withheld Key3 "key3-withheld" "the eight bytes after the head do not arrive, and the server waits for them"
        "answer the head before the eight bytes, as hybridge does: nginx, Apache, node http-proxy and HAProxy before 2.4 hand them on only after a 101";
    Key3NeverCame Key3 "key3-never-came" "the head was answered, and the eight bytes after it still did not arrive"
        "a front keeps them for a body or a next request (Caddy does where they share a segment with the head): use HAProxy in mode tcp, Varnish pipe, hitch or stunnel in front; on slow lines raise timeouts.key3";
    NoAnswer Answered "no-answer" "the server did not answer"
        "see whether the request reached the backend at all; hybridge itself ends such a wait after timeouts.handshake with 504";
    ClosedUnanswered Answered "closed-without-answer" "the server ended the connection without a word"
        "look in the server's log: that is how a port answers what it takes for no HTTP, and how a front hides a backend that is away";
    AnswerUnreadable AnswerReadable "answer-unreadable" "the answer is no HTTP response"
        "see that a WebSocket server listens where the request was sent, and not TLS or another protocol";
    AnswerLineEnd AnswerReadable "answer-bare-line-end" "a line of the answer ends in a lone LF"
        "let the server end every line in CR LF: old WebKits fail on anything else";
    AnswerHttp10 AnswerReadable "answer-http-1.0" "the answer is HTTP/1.0"
        "let the server or front answer HTTP/1.1: newer Safari refuses HTTP/1.0 101";
    Answered200 Status "answered-200" "a page was served where 101 was due"
        "the request went to a web server that knows nothing of the upgrade: check path and host in front, and that the front passes Upgrade and Connection on (nginx: proxy_http_version 1.1; proxy_set_header Upgrade and Connection)";
    RedirectHttps Status "redirect-to-https" "a redirect from http to https"
        "no browser follows a redirect of a WebSocket: let the page open wss://, or leave this path out of the redirect";
    Redirected Status "redirected" "a redirect"
        "no browser follows a redirect of a WebSocket: let the page open the final URL, slash at the end included, or answer this path without a login page";
    RefusedByHaproxy Status "answered-400-by-haproxy" "HAProxy refused the request (it does so with hixie-76 in mode http)"
        "use `mode tcp` for these clients: HAProxy in mode http refuses the eight bytes and the keys of hixie-76";
    RefusedByNginx Status "answered-400-by-nginx" "nginx refused the request itself"
        "see nginx's error log: a malformed request, or plain HTTP to its TLS port";
    Answered400 Status "answered-400" "the server found the request malformed"
        "read the body of the answer, where hybridge names the rule; a server of today answers old dialects so: put hybridge in front of it";
    Answered401 Status "answered-401" "the server wants a login"
        "hixie clients never send Authorization and fail on 401: use cookies, or let this path through";
    Answered403 Status "answered-403" "the server refused this client"
        "compare Origin with the list of those it allows, and see whether the login's cookie came along";
    Answered404 Status "answered-404" "the server knows no such path"
        "compare path and prefix with the routes of the front and of the backend (hybridge: path on the route, and the path at the end of upstream)";
    Answered426 Status "answered-426" "the server does not serve this version"
        "put hybridge in front of it; where hybridge answered so, dialects on the route leaves this one out";
    Answered502 Status "answered-502" "the front could not talk to the backend"
        BACKEND_AWAY;
    Answered503 Status "answered-503" "the server has no room or no backend"
        BACKEND_AWAY;
    Answered504 Status "answered-504" "the backend did not answer the front in time"
        BACKEND_AWAY;
    AnsweredOther Status "answered-another-status" "the answer is not 101"
        BACKEND_POLICY;
    HybiAnswerToHixie AnswerUpgrade "modern-answer-to-hixie" "the server answered the dialect of 2011 and later to a hixie client"
        "the server took the request for RFC 6455, or something in front answers for it: put hybridge in front of modern servers";
    HixieAnswerToHybi AnswerUpgrade "hixie-answer-to-hybi" "the server answered the dialect of 2010 to a client of 2011 or later"
        "the server knows only old dialects: renew it, or let it answer only clients without Sec-WebSocket-Version";
    HixieMixedUp AnswerUpgrade "hixie-75-and-76-mixed-up" "the server answered hixie-75 to hixie-76, or the other way round"
        "WebSocket-Origin and -Location belong to hixie-75, Sec-WebSocket-Origin and -Location to hixie-76: let the server go by Sec-WebSocket-Key1";
    FirstLinesReordered AnswerUpgrade "hixie-75-lines-reordered" "the first three lines of the hixie-75 answer are not in their order"
        "a front puts the lines in another order, as nginx, Apache and Caddy do: let hixie-75 clients reach hybridge by HAProxy in mode tcp, Varnish pipe, hitch or stunnel, by nginx's stream module, or by Apache with the recipe in examples/";
    FirstLinesChanged AnswerUpgrade "hixie-75-lines-changed" "the first three lines of the hixie-75 answer are worded otherwise"
        "a front words them otherwise, as node http-proxy does, or the server does: let hixie-75 clients reach hybridge directly or by HAProxy in mode tcp, Varnish pipe, hitch or stunnel";
    AnswerUpgradeMissing AnswerUpgrade "answer-upgrade-missing" "the 101 has no Upgrade, two, or another"
        ANSWER_SERVER;
    AnswerUpgradeCase AnswerUpgrade "answer-upgrade-case" "Upgrade is not written `WebSocket`, as hixie-76 demands and Opera 11 compares"
        "answer `Upgrade: WebSocket`, with these capitals, to clients that send Sec-WebSocket-Key1";
    AnswerConnectionMissing AnswerConnection "answer-connection-missing" "the 101 has no Connection: Upgrade"
        ANSWER_SERVER;
    AnswerConnectionList AnswerConnection "answer-connection-list" "Connection says more than `Upgrade`"
        "answer `Connection: Upgrade` and nothing else, once: `keep-alive, Upgrade` broke 17 of 36 clients tried";
    ReasonMissing AnswerWebkit "reason-phrase-missing" "the status line has no reason phrase, nor the blank before it"
        "write a reason phrase: `HTTP/1.1 101 Switching Protocols`";
    EmptyValue AnswerWebkit "empty-header-value" "a header of the answer has no value, or one that is not UTF-8"
        "leave the header out: old WebKits fail the handshake on an empty value";
    AnswerOriginMissing AnswerOrigin "answer-origin-missing" "the answer does not name the page's origin"
        ANSWER_SERVER;
    AnswerOriginTwice AnswerOrigin "answer-origin-twice" "the answer names the origin twice"
        "let one hop alone answer the handshake";
    AnswerOriginCase AnswerOrigin "answer-origin-case" "the origin comes back in another letter case"
        "repeat Origin byte for byte";
    AnswerOriginNull AnswerOrigin "answer-origin-null" "the answer says origin `null` and the page's is another"
        "repeat Origin byte for byte; `null` opens nothing";
    AnswerOriginOther AnswerOrigin "answer-origin-other" "the answer names another origin than the page's"
        "repeat Origin byte for byte; a fixed origin or `*` opens nothing, and where the front replaces Origin let it stop";
    LocationMissing AnswerLocation "location-missing" "the answer has no location"
        ANSWER_SERVER;
    LocationTwice AnswerLocation "location-twice" "the answer has two locations"
        "let one hop alone answer the handshake";
    LocationScheme AnswerLocation "location-scheme" "the location says ws where the page opened wss, or wss where it opened ws"
        PUBLIC_URL;
    LocationInternalHost AnswerLocation "location-internal-host" "the location names a host inside, not the one the page opened"
        "set public_url on the route to the URL that the page opens (with another server, its public address), or let the front pass Host on as it came";
    LocationHost AnswerLocation "location-host" "the location names another host than the page opened"
        PUBLIC_URL;
    LocationDefaultPort AnswerLocation "location-default-port" "the location writes the scheme's own port, which browsers leave out"
        "leave :80 out of ws and :443 out of wss locations; hybridge repeats Host as it came, so look for the front that adds the port";
    LocationPort AnswerLocation "location-port" "the location has another port than the page opened, or none"
        "let the front pass Host on as it came, port included, or set public_url on the route";
    LocationQuery AnswerLocation "location-query-lost" "the location lost the query string"
        "build the location from the request's target as it came, query included, as hybridge does";
    LocationPath AnswerLocation "location-path" "the location has another path than the page opened"
        "where a front takes a prefix off the path, write it in public_url (wss://HOST/PREFIX); with another server, in its own address";
    SubprotocolLeftOut AnswerSubprotocol "subprotocol-left-out" "the client asked for a subprotocol and none was named in the answer"
        "let the server name one of those asked for, or let the page ask for none; to hixie clients hybridge repeats what they asked if the backend says nothing";
    SubprotocolOther AnswerSubprotocol "subprotocol-other" "the answer names a subprotocol that was not asked for"
        "answer with the very value asked for (hixie: the whole string, hybi: one name of the list, in the same letter case)";
    SubprotocolUnasked AnswerSubprotocol "subprotocol-unasked" "the answer names a subprotocol although none was asked for"
        "leave Sec-WebSocket-Protocol out of the answer where the request has none: 10 of 36 clients tried drop the connection";
    DigestMissing Digest "digest-missing" "the 16 bytes after the answer's head are missing"
        "write the 16 bytes as soon as key3 is there; look for a front that takes them for a body and drops them";
    DigestShort Digest "digest-short" "fewer than 16 bytes follow the answer's head"
        "the 16 bytes are MD5 as it is: no text, nothing trimmed; look for a front that cuts them as a body";
    DigestHex Digest "digest-as-text" "the 16 bytes are written as text (hexadecimal or base64) and not raw"
        "write the 16 bytes of the MD5 as they are";
    DigestWithoutKey3 Digest "digest-without-key3" "the digest was computed without the eight bytes after the head"
        "read the eight bytes after the head before computing the MD5; a front that holds them back makes servers do this";
    DigestLittleEndian Digest "digest-little-endian" "the digest was computed from little-endian numbers"
        "write both numbers big-endian before the MD5";
    DigestSwapped Digest "digest-keys-swapped" "the digest was computed with Key2 before Key1"
        "compute MD5 of Key1's number, Key2's number, then key3";
    DigestCollapsed Digest "digest-from-collapsed-keys" "the digest was computed from keys whose spaces were collapsed on the way"
        FRONT_KEYS;
    DigestUndivided Digest "digest-undivided" "the digest was computed from the keys' digits, not divided by their spaces"
        "divide each key's number by its count of spaces before the MD5";
    FrameBeforeDigest Digest "frame-before-digest" "frames came before the 16 bytes"
        "hold all frames back until the 16 bytes are written";
    DigestWrong Digest "digest-wrong" "the 16 bytes are not the answer to this client's challenge"
        "compare how the server reads Key1, Key2 and key3 with the drafts' examples; a hop that changes one blank in a key changes the digest";
    AcceptMissing Accept "accept-missing" "the answer has no Sec-WebSocket-Accept"
        "let the WebSocket server's own 101 through: a front, or a page that answers 101, made this one";
    AcceptTwice Accept "accept-twice" "the answer has two Sec-WebSocket-Accept headers"
        "let one hop alone answer the handshake";
    AcceptHex Accept "accept-hex" "Sec-WebSocket-Accept is the SHA-1 in hexadecimal"
        "encode the 20 bytes of the SHA-1 in base64, not their hexadecimal text";
    AcceptWithoutGuid Accept "accept-without-guid" "Sec-WebSocket-Accept was computed from the key alone"
        "append 258EAFA5-E914-47DA-95CA-C5AB0DC85B11 to the key's text before the SHA-1";
    AcceptDecodedKey Accept "accept-of-decoded-key" "Sec-WebSocket-Accept was computed from the decoded key"
        "hash the key's text as it stands in the header, without decoding it";
    AcceptBlank Accept "accept-of-untrimmed-key" "Sec-WebSocket-Accept was computed from the key with a blank or line end beside it"
        "trim the header's value before the SHA-1";
    AcceptOther Accept "accept-of-another-key" "Sec-WebSocket-Accept answers another handshake's key"
        "look for a cache in front, a fixed answer in the server, or two hops that each make a key of their own";
    ExtensionUnasked Extension "extension-unasked" "the answer names an extension that was not offered"
        "let the server or front answer only extensions of this very request: a proxy that takes them out of the request must take them out of the answer";
    HeaderNameCase Habits "accept-name-case" "the header is not written `Sec-WebSocket-Accept`"
        "write header names as the RFC does: title-casing libraries write Sec-Websocket-Accept, which devices that search for the exact text do not find";
    BodyOn101 Habits "body-on-101" "the 101 announces a body"
        "leave Content-Length and Transfer-Encoding out of a 101: what follows are frames, and hops in between may take them for a body";
    AnswerInPieces Habits "hixie-75-answer-in-pieces" "the hixie-75 answer came in several segments"
        "write the whole answer at once: one client forgets what came in an earlier read";
    DigestInPieces Habits "digest-in-pieces" "the 16 bytes came in several segments"
        "write the 16 bytes at once: one client reads once and takes what is there";
    BinaryToHixie Frames "binary-frame-to-hixie" "the server sent a length-prefixed frame, which hixie browsers drop"
        "send text only: hixie has no binary; hybridge's `binary` on the route says what becomes of the backend's (base64, latin1, drop or close)";
    HybiFrameToHixie Frames "hybi-frame-to-hixie" "the server sent frames of 2011 and later to a hixie client"
        FRAME_SERVER;
    HixieFrameToHybi Frames "hixie-frame-to-hybi" "the server sent hixie frames to a client of 2011 or later"
        FRAME_SERVER;
    HybiFrameFromHixie Frames "hybi-frame-from-hixie" "a client that asked as hixie sends frames of another dialect"
        "the client's library mixes dialects: hybi-01 asks as hixie-76 does and frames otherwise; no browser shipped it";
    HixieFrameFromHybi Frames "hixie-frame-from-hybi" "a client of 2011 or later sends hixie frames"
        CLIENT_LIBRARY;
    ReservedFrameType Frames "reserved-frame-type" "a hixie client sent a frame of a type that no browser sends"
        CLIENT_LIBRARY;
    HixieFrameInPieces Frames "hixie-frame-in-pieces" "a short hixie frame came in several segments"
        "write each hixie frame at once: one client loses frames split over reads";
    ClientUnmasked Frames "client-frame-unmasked" "a frame of the client is not masked"
        CLIENT_LIBRARY;
    ServerMasked Frames "server-frame-masked" "a frame of the server is masked"
        FRAME_SERVER;
    ReservedBits Frames "reserved-bits" "a frame has reserved bits and no extension was agreed on"
        "one end believes that compression was agreed on: look for a proxy that took Sec-WebSocket-Extensions out of the request or the answer alone";
    ReservedOpcode Frames "reserved-opcode" "a frame has an opcode that means nothing"
        FRAME_SERVER;
    ControlFrame Frames "control-frame-malformed" "a ping, pong or close is fragmented or longer than 125 bytes"
        FRAME_SERVER;
    FrameLength Frames "frame-length" "a frame's length is written in too many bytes or beyond all bounds"
        FRAME_SERVER;
    Fragmentation Frames "fragments-out-of-order" "fragments of messages do not follow each other"
        "look for what mixes two messages: a server that writes from several threads, or bytes lost on the way";
    NotUtf8 Frames "text-not-utf-8" "a text message is not UTF-8"
        "send text as UTF-8, and bytes as binary where the dialect has it; PhantomJS 1.9 makes an empty message of such text";
    CloseMalformed Frames "close-code-invalid" "a close frame carries a code that may not be sent, or half of one"
        "close with 1000, 1001, 1002 or 3000 to 4999; 1005, 1006 and 1015 never travel";
    ClosedWithError Frames "closed-with-an-error" "the server closed with a code that names an error"
        "the code says what it minds: see the server's log at that time";
    Close1000AtShutdown Frames "close-1000-on-shutdown" "the server said 1000 when it went away"
        "close with 1001 or 1012 on shutdown, as hybridge does: many clients do not come back after 1000";
    PingUnanswered Frames "ping-unanswered" "a ping was not answered"
        "the other end is gone, or something reads the frames and swallows it; hixie clients cannot be pinged at all";
    CloseUnanswered Frames "close-unanswered" "the client's close was not answered, and the client waits"
        "answer FF 00 with FF 00 (hybi: a close with a close) at once, then end TCP: some clients hang without it";
    LeftOpen Frames "tcp-left-open" "the server closed and left TCP open"
        "end TCP soon after the close: hixie WebKits fire onclose only then, and some hybi clients abort after a second";
    IdleCut Frames "idle-cut" "the connection was cut after a silence of a round time"
        "a front's idle timeout: raise it there for these connections, or let the backend send something more often; hixie clients cannot be pinged";
    EndedInMessage Frames "ended-inside-a-message" "the stream ended inside a message"
        "look at what ended it (restart, crash, a limit on size or time): the message is lost";
    CutWithoutClose Frames "cut-without-close" "the server ended the connection without a close"
        "look for a restart, a crash or a reload in front: pages see 1006, or an unclean close";
}

impl Fault {
    /// The stable name, for scripts.
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// What it means, in one line.
    pub fn meaning(self) -> &'static str {
        self.row().2
    }

    /// What to do about it.
    pub fn remedy(self) -> &'static str {
        self.row().3
    }

    /// The rule that it breaks.
    pub fn rule(self) -> Rule {
        self.row().0
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
