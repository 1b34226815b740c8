// What every JavaScript driver shares: reading a plan, performing it, reporting what happened (see ../README.md).
// It runs in node 0.10, in today's node and inside a page of PhantomJS 1.9, hence the language of 2011.

(function (exports) {
  // A text travels through plans and reports as the hexadecimal of its UTF-8 bytes.
  function fromHex(hex) {
    return decodeURIComponent(hex.replace(/../g, '%$&'));
  }

  function toHex(text) {
    return unescape(encodeURIComponent(text)).replace(/[\s\S]/g, function (byte) {
      return (256 + byte.charCodeAt(0)).toString(16).slice(1);
    });
  }

  exports.parse = function (text) {
    var plan = { steps: [] };
    text.split('\n').forEach(function (line) {
      var words = line.split(' '), verb = words[0], rest = words.slice(1);
      if (verb === 'connect' || verb === 'origin' || verb === 'protocol' || verb === 'cookie') plan[verb] = rest[0];
      else if (verb) plan.steps.push({ verb: verb, words: rest });
    });
    return plan;
  };

  // `socket` sends: text(string), binary(hex), close(code, reason), the last two undefined when the plan names none.
  // The object returned is told what the socket hears, and takes the next steps when their time has come.
  exports.perform = function (plan, socket, say) {
    var steps = plan.steps, received = 0, isOver = false;

    function proceed() {
      while (steps.length) {
        var verb = steps[0].verb, words = steps[0].words;
        if (verb === 'await' && received < Number(words[0])) return;
        steps.shift();
        if (verb === 'text') socket.text(fromHex(words[0]));
        if (verb === 'binary') socket.binary(words[0]);
        if (verb === 'close') {
          say('closing');
          if (words.length) socket.close(Number(words[0]), fromHex(words[1]));
          else socket.close();
        }
      }
    }

    function end(line) {
      if (isOver) return;
      isOver = true;
      say(line);
    }

    return {
      open: function (protocol, extensions) {
        say('open ' + (protocol || '-') + ' ' + (extensions || '-'));
        proceed();
      },
      text: function (text) {
        received += 1;
        say('text ' + toHex(text));
        proceed();
      },
      binary: function (hex) {
        received += 1;
        say('binary ' + hex);
        proceed();
      },
      // Without arguments where the program does not tell its application how the connection ended.
      closed: function (code, reason) {
        end(code === undefined ? 'closed' : 'closed ' + code + ' ' + toHex(reason || ''));
      },
      failed: function (reason) {
        end('failed ' + String(reason).replace(/\s+/g, ' '));
      }
    };
  };

  // For drivers that run in node: perform the plans named on the command line, one connection after the other.
  exports.performAll = function (connect) {
    var fs = require('fs'), files = process.argv.slice(3);
    (function next() {
      if (!files.length) return process.exit(0);
      var plan = exports.parse(fs.readFileSync(files.shift(), 'utf8'));
      connect(plan, function (line) {
        process.stdout.write(line + '\n');
        if (/^(closed|failed)/.test(line)) setTimeout(next, 0);
      });
    })();
  };
})(typeof exports === 'undefined' ? (this.plan = {}) : exports);
