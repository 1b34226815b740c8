//! How a client got here.

/// A header that tells backends how a client got here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`
    For,
    /// `X-Forwarded-Proto`
    Proto,
    /// `X-Forwarded-Host`
    Host,
    /// `X-Forwarded-Port`
    Port,
    /// `X-Real-IP`
    RealIp,
    /// `Forwarded` (RFC 7239)
    Forwarded,
}

impl ForwardedHeader {
    /// All of them.
    pub const ALL: [ForwardedHeader; 6] = [
        ForwardedHeader::For,
        ForwardedHeader::Proto,
        ForwardedHeader::Host,
        ForwardedHeader::Port,
        ForwardedHeader::RealIp,
        ForwardedHeader::Forwarded,
    ];

    /// The header's name.
    pub fn name(self) -> &'static str {
        match self {
            ForwardedHeader::For => "X-Forwarded-For",
            ForwardedHeader::Proto => "X-Forwarded-Proto",
            ForwardedHeader::Host => "X-Forwarded-Host",
            ForwardedHeader::Port => "X-Forwarded-Port",
            ForwardedHeader::RealIp => "X-Real-IP",
            ForwardedHeader::Forwarded => "Forwarded",
        }
    }
}
