//! Messages of `FromStr` and the like that are literals and therefore contain no value.
//!
//! The whole message must match: one that contains a literal beside something else is withheld.

/// Messages without a variable part.
const WHOLE: &[&str] = &[
    // std: addresses, numbers, booleans, characters, conversions.
    "invalid IP address syntax",
    "invalid IPv4 address syntax",
    "invalid IPv6 address syntax",
    "invalid socket address syntax",
    "invalid IPv4 socket address syntax",
    "invalid IPv6 socket address syntax",
    "cannot parse integer from empty string",
    "invalid digit found in string",
    "number too large to fit in target type",
    "number too small to fit in target type",
    "number would be zero for non-zero type",
    "out of range integral type conversion attempted",
    "cannot parse float from empty string",
    "invalid float literal",
    "provided string was not `true` or `false`",
    "cannot parse char from empty string",
    "too many characters in string",
    "converted integer out of range for `char`",
    "cannot convert float seconds to Duration: value is negative",
    "cannot convert float seconds to Duration: value is either too big or NaN",
    // serde and the parsers of the formats.
    "can only flatten structs and maps",
    "overflow deserializing SystemTime epoch offset",
    "overflow deserializing Duration",
    // url
    "empty host",
    "invalid international domain name",
    "invalid port number",
    "invalid IPv4 address",
    "invalid IPv6 address",
    "invalid domain character",
    "relative URL without a base",
    "relative URL with a cannot-be-a-base base",
    "a cannot-be-a-base URL doesn’t have a host to set",
    "URLs more than 4 GB are not supported",
    // humantime
    "number is too large or cannot be represented without a lack of precision (values below 1ns are \
     not supported)",
    "value was empty",
    // http
    "invalid HTTP method",
    "invalid HTTP header name",
    "failed to parse header value",
    "invalid status code",
    "invalid uri character",
    "invalid scheme",
    "invalid authority",
    "invalid port",
    "invalid format",
    "scheme missing",
    "authority missing",
    "path missing",
    "path does not start with slash",
    "uri too long",
    "empty string",
    "scheme too long",
    // ipnet: the first ones of std, and this
    "invalid IP prefix length",
    // chrono
    "input is out of range",
    "no possible date and time matching input",
    "input is not enough for unique date and time",
    "input contains invalid characters",
    "premature end of input",
    "trailing input",
    // time
    "a character literal was not valid",
    "unexpected trailing characters; the end of input was expected",
    // semver
    "empty string, expected a semver version",
    "unexpected character after wildcard in version req",
    "excessive number of version comparators",
];

/// The parts of a version, as semver names them.
const VERSION: &[&str] = &[
    "major version number",
    "minor version number",
    "patch version number",
    "pre-release identifier",
    "build metadata",
];

/// The parts of a date and time, as the crate time names them.
const TIME: &[&str] = &[
    "year",
    "month",
    "day",
    "ordinal",
    "weekday",
    "hour",
    "minute",
    "second",
    "subsecond",
    "offset hour",
    "offset minute",
    "offset second",
];

/// Messages with one variable part: the text before it, its values, and the text after it.
const WITH_A_PART: &[(&str, &[&str], &str)] = &[
    ("unexpected end of input while parsing ", VERSION, ""),
    ("invalid leading zero in ", VERSION, ""),
    ("value of ", VERSION, " exceeds u64::MAX"),
    ("empty identifier segment in ", VERSION, ""),
    ("unexpected character in ", VERSION, ""),
    ("the '", TIME, "' component could not be parsed"),
];

/// Returns `true` if the whole message is one of these.
pub(super) fn has(message: &str) -> bool {
    let is_made_of = |(before, parts, behind): &(&str, &[&str], &str)| {
        let part = message.strip_prefix(before);
        part.and_then(|part| part.strip_suffix(behind))
            .is_some_and(|part| parts.contains(&part))
    };
    WHOLE.contains(&message) || WITH_A_PART.iter().any(is_made_of)
}

/// The beginning of a message, if the rest varies and is left out.
pub(super) fn beginning(message: &str) -> Option<&'static str> {
    // uuid: the rest quotes characters.
    let known = "UUID parsing failed";
    let rest = message.strip_prefix(known)?;
    rest.starts_with(": ").then_some(known)
}
