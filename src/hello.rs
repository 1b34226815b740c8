//! stub
/// stub
pub struct Offer {
    /** stub */
    pub modern: bool,
    /** stub */
    pub version: String,
    /** stub */
    pub server_name: Option<String>,
}
/// stub
pub fn offered(bytes: &[u8]) -> Result<Option<Offer>, ()> {
    if bytes.is_empty() {
        return Ok(None);
    }
    if bytes[0] != 0x16 {
        return Err(());
    }
    let Some(head) = bytes.get(..5) else { return Ok(None) };
    if bytes.len() < 5 + usize::from(u16::from_be_bytes([head[3], head[4]])) {
        return Ok(None);
    }
    Ok(Some(Offer { modern: true, version: String::new(), server_name: None }))
}
