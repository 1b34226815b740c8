// PhantomJS: a real WebKit browser without a window. Version 1.9 speaks hixie-76, version 2.1 speaks 13.
// Each plan is a page of its own; the page's script holds the WebSocket, this file only prints what the page logs.
// phantomjs phantomjs.js DIALECT PLAN...

var fs = require('fs');
var system = require('system');
var webpage = require('webpage');
var plan = require('./plan');

var files = system.args.slice(2);

function next() {
  if (!files.length) return phantom.exit(0);
  var text = fs.read(files.shift());
  var script = plan.parse(text);
  var page = webpage.create();

  phantom.clearCookies();
  if (script.cookie) {
    var pair = script.cookie.split('=');
    phantom.addCookie({ name: pair[0], value: pair[1], domain: '127.0.0.1', path: '/' });
  }
  page.onConsoleMessage = function (line) {
    system.stdout.writeLine(line);
    if (/^(closed|failed)/.test(line)) setTimeout(function () { page.close(); next(); }, 0);
  };
  page.onError = function (message) { page.onConsoleMessage('failed ' + message); };
  page.setContent('<title>interop</title>', script.origin + '/');
  page.injectJs('plan.js');
  page.evaluate(visit, text);
}

// Runs inside the page.
function visit(text) {
  var script = plan.parse(text);
  // WebKit takes an undefined second argument for a subprotocol named "undefined".
  var ws = script.protocol ? new WebSocket(script.connect, script.protocol) : new WebSocket(script.connect);
  ws.binaryType = 'arraybuffer';

  function say(line) { console.log(line); }

  var performance = plan.perform(script, {
    text: function (text) { ws.send(text); },
    binary: function (hex) {
      var bytes = hex.match(/../g).map(function (pair) { return parseInt(pair, 16); });
      ws.send(new Uint8Array(bytes).buffer);
    },
    // A page of 2010 knows close() without arguments only.
    close: function (code, reason) { if (code) ws.close(code, reason); else ws.close(); }
  }, say);

  // 1.9 has no ws.protocol: a page knows only that the browser accepted the answer.
  ws.onopen = function () {
    performance.open(ws.protocol === undefined ? script.protocol : ws.protocol, ws.extensions);
  };
  ws.onerror = function () { say('error'); };
  ws.onmessage = function (event) {
    if (typeof event.data === 'string') return performance.text(event.data);
    var hex = Array.prototype.map.call(new Uint8Array(event.data), function (byte) {
      return (256 + byte).toString(16).slice(1);
    });
    performance.binary(hex.join(''));
  };
  ws.onclose = function (event) {
    performance.closed(event.code, event.reason);
  };
}

next();
