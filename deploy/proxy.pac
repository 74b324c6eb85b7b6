// Proxy auto-configuration for devices that are not told by policy. The console serves one with the real addresses
// at http://schoolgate.internal/proxy.pac through the gateway; this one is for web servers and DHCP option 252.
// There is no "; DIRECT" at the end on purpose: without the gateway there is no web.
function FindProxyForURL(url, host) {
  var gateway = "PROXY gateway.school.internal:8080";
  if (host === "localhost" || host === "127.0.0.1" || host === "[::1]") {
    return "DIRECT";
  }
  // Plain names and the school's own servers, where the policy has no say.
  if (isPlainHostName(host) || dnsDomainIs(host, ".school.internal")) {
    return "DIRECT";
  }
  return gateway;
}
