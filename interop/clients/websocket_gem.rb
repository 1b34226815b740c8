# The Ruby gem `websocket`, as hixie-75, version 7 or 8. The gem makes and reads handshakes and frames; the socket is
# the application's. (As hixie-76 it fails by itself now and then: it strips blanks and line ends off the MD5 digest.)
# ruby websocket_gem.rb 75|7|8 PLAN...

require 'socket'
require 'uri'
require 'websocket'

$stdout.sync = true

class Play
  Over = Class.new(StandardError)

  def initialize(file, version)
    @version = version
    @steps = []
    @options = { version: version, headers: {} }
    File.foreach(file, chomp: true) do |line|
      verb, *words = line.split(' ', -1)
      case verb
      when 'connect' then @options[:url] = words[0]
      when 'origin' then @options[:origin] = words[0]
      when 'protocol' then @options[:protocols] = [words[0]]
      when 'cookie' then @options[:headers]['Cookie'] = words[0]
      else @steps << [verb, *words]
      end
    end
    @received = 0
  end

  def perform
    open
    @steps.each { |verb, *words| step(verb, words) }
    loop { hear }
  rescue Over => over
    say "closed #{over.message}"
  rescue StandardError => error
    say "failed #{error.class}: #{error.message.split.join(' ')}"
  end

  private

  def open
    handshake = WebSocket::Handshake::Client.new(**@options)
    url = URI(@options[:url])
    @socket = TCPSocket.new(url.host, url.port)
    @socket.write(handshake.to_s)
    # The gem's own way to give back what follows the head strips a leading 00 off it.
    received = String.new
    received << @socket.readpartial(65_536) until received.include?("\r\n\r\n")
    head, blank, frames = received.partition("\r\n\r\n")
    handshake << head + blank
    raise "refused: #{handshake.error}" unless handshake.valid?

    protocol = @options[:protocols] ? @options[:protocols][0] : '-'
    say "open #{protocol} -"
    @incoming = WebSocket::Frame::Incoming::Client.new(version: @version)
    @incoming << frames
  end

  def step(verb, words)
    case verb
    when 'text' then send_frame(:text, [words[0]].pack('H*').force_encoding('UTF-8'))
    when 'binary' then send_frame(:binary, [words[0]].pack('H*'))
    when 'await' then hear while @received < words[0].to_i
    when 'close'
      say 'closing'
      @closing = true
      return @socket.close_write if @version == 75
      return send_frame(:close, [words[1]].pack('H*'), code: words[0].to_i) if words.any?

      # The gem knows no close without a code.
      send_frame(:close, '', code: 1000)
    end
  end

  def send_frame(type, data, **more)
    frame = WebSocket::Frame::Outgoing::Client.new(version: @version, type: type, data: data, **more)
    @socket.write(frame.to_s)
  end

  # Takes one frame; raises Over at the end of the connection.
  def hear
    frame = next_frame
    case frame.type
    when :ping then send_frame(:pong, frame.to_s)
    when :close
      send_frame(:close, frame.to_s, code: frame.code) unless @closing
      raise Over, frame.code ? "#{frame.code} #{frame.to_s.unpack1('H*')}" : '1005 '
    else
      @received += 1
      say "#{frame.type} #{frame.to_s.unpack1('H*')}"
    end
  end

  def next_frame
    until (frame = @incoming.next)
      raise @incoming.error.to_s if @incoming.error?

      @incoming << @socket.readpartial(65_536)
    end
    frame
  rescue EOFError
    raise Over, 'fin'
  end

  def say(line)
    puts line
  end
end

version, *files = ARGV
files.each { |file| Play.new(file, version.to_i).perform }
