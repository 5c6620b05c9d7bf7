/* sas_vectors.h - the published token vectors (device contract 3.9), what each must give, and the hub they are for.
 *
 * The hub: host hub.example.net; every device named here has K1 as primary and K2 as secondary key, module mod-A of
 * dev1 has K1; policy "device" (DeviceConnect) has KP and policy "service" (ServiceConnect) has KW as primary key.
 * Any clock from 2024 to 2099 will do.
 */
#ifndef GATEHOUSE_TESTS_VECTORS_SAS_VECTORS_H
#define GATEHOUSE_TESTS_VECTORS_SAS_VECTORS_H

#include <stddef.h>

#define SAS_VECTOR_HOST "hub.example.net"
#define SAS_VECTOR_K1 "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define SAS_VECTOR_K2 "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8="
#define SAS_VECTOR_KP "QEFCQ0RFRkdISUpLTE1OT1BRUlNUVVZXWFlaW1xdXl8="
#define SAS_VECTOR_KW "YGFiY2RlZmdoaWprbG1ub3BxcnN0dXZ3eHl6e3x9fn8="
#define SAS_VECTOR_SPECIAL_ID "a-b.c+d%e_f#g*h?i!j(k),l=m@n$o'p"
#define SAS_VECTOR_NOW_S UINT64_C(1800000000) /* 2027-01-15T08:00:00Z */

struct sas_vector {
	const char *name; /* P1.. are good, N1.. are refused */
	const char *what;
	const char *device_id; /* the identity that presents the token */
	const char *module_id; /* "" = the device itself */
	const char *policy;    /* good: who signed, "" = the identity's key */
	const char *code;      /* refused: why; NULL = good */
	const char *token;
};

static const struct sas_vector sas_vectors[] = {
	{"P1", "node form", "dev1", "", "", NULL,
		"SharedAccessSignature sr=hub.example.net%2Fdevices%2Fdev1&sig=LqyUzl68kGRXzLQZq5VO0sfwYobzjE17x0"
		"k9%2F7ghShY%3D&se=4102444800"},
	{"P2", "c form, raw sr, lower-case hex in sig", "dev1", "", "", NULL,
		"SharedAccessSignature sr=hub.example.net/devices/dev1&sig=i%2byCgdjTscw8TYaNxSAW2Pzo1zWBOXv2CGBf"
		"4zq9wEs%3d&se=4102444800"},
	{"P3", "lower-case hex in sr", "dev1", "", "", NULL,
		"SharedAccessSignature sr=hub.example.net%2fdevices%2fdev1&sig=BLFCUwKf7kTAKL6Q45V4Lry3voiBWUENgQ"
		"UcKohwQUA%3d&se=4102444800"},
	{"P4", "node form of the special id, mixed hex case", SAS_VECTOR_SPECIAL_ID, "", "", NULL,
		"SharedAccessSignature sr=hub.example.net%2Fdevices%2Fa-b.c%2Bd%25e_f%23g%2ah%3Fi%21j%28k%29%2Cl%"
		"3Dm%40n%24o%27p&sig=Spxu1AWmN9SEFyP%2F3O%2FS%2B%2FvvuqpidA7H1aoNlUb8KlM%3D&se=4102444800"},
	{"P5", "python form of the special id", SAS_VECTOR_SPECIAL_ID, "", "", NULL,
		"SharedAccessSignature sr=hub.example.net%2Fdevices%2Fa-b.c%2Bd%25e_f%23g%2Ah%3Fi%21j%28k%29%2Cl%"
		"3Dm%40n%24o%27p&sig=eWGLfreRgKT7BbduwVbDiq41oswVfplH6hJ2qgrMIfA%3D&se=4102444800"},
	{"P6", "csharp form of the special id, encoded twice", SAS_VECTOR_SPECIAL_ID, "", "", NULL,
		"SharedAccessSignature sr=hub.example.net%2Fdevices%2Fa-b.c%252Bd%2525e_f%2523g*h%253Fi!j(k)%252C"
		"l%253Dm%2540n%2524o%2527p&sig=zzqUbBb25HQ3YWpwDeWG3zeiu08Rmg%2FN723CONmMwoY%3D&se=4102444800"},
	{"P7", "java form of the special id, raw slashes", SAS_VECTOR_SPECIAL_ID, "", "", NULL,
		"SharedAccessSignature sig=Uy%2B3X9Q5uxN5wkJoaS0ejn0KAx0Tis1RWLDa3hB8Weo%3D&se=4102444800&sr=hub."
		"example.net/devices/a-b.c%2Bd%25e_f%23g*h%3Fi%21j%28k%29%2Cl%3Dm%40n%24o%27p"},
	{"P8", "module key, python form", "dev1", "mod-A", "", NULL,
		"SharedAccessSignature sr=hub.example.net%2Fdevices%2Fdev1%2Fmodules%2Fmod-A&sig=xhCbpzrW%2F6lshS"
		"oYINLV3YDZlJih8AFACA3SuZ8geT4%3D&se=4102444800"},
	{"P9", "fields in another order", "dev1", "", "", NULL,
		"SharedAccessSignature sig=LqyUzl68kGRXzLQZq5VO0sfwYobzjE17x0k9%2F7ghShY%3D&se=4102444800&sr=hub."
		"example.net%2Fdevices%2Fdev1"},
	{"P10", "policy, scope {host}/devices", "dev1", "", "device", NULL,
		"SharedAccessSignature sig=6%2FyEAEIhUA7hBN2plx4w%2BCdClrhXIK9kdlAn1bKPKJA%3D&se=4102444800&skn=d"
		"evice&sr=hub.example.net%2Fdevices"},
	{"P11", "secondary key", "dev1", "", "", NULL,
		"SharedAccessSignature sr=hub.example.net%2Fdevices%2Fdev1&sig=VNMdOtOppeR35f5qUagvwoUB1XCWKhh7oT"
		"4MZqTWWKA%3D&se=4102444800"},
	{"P12", "c over HTTPS: skn is the device id", "dev1", "", "", NULL,
		"SharedAccessSignature sr=hub.example.net/devices/dev1&sig=i%2byCgdjTscw8TYaNxSAW2Pzo1zWBOXv2CGBf"
		"4zq9wEs%3d&se=4102444800&skn=dev1"},
	{"P13", "c file upload: empty skn", "dev1", "", "", NULL,
		"SharedAccessSignature sr=hub.example.net/devices/dev1&sig=i%2byCgdjTscw8TYaNxSAW2Pzo1zWBOXv2CGBf"
		"4zq9wEs%3d&se=4102444800&skn="},
	{"P14", "policy, scope {host}", "dev1", "", "device", NULL,
		"SharedAccessSignature sr=hub.example.net&sig=0a850S1y6g%2Fkf9zBKzObNwqWbw0HcvD0ThrLT29u%2By8%3D&"
		"se=4102444800&skn=device"},
	{"P15", "host in mixed case", "dev1", "", "", NULL,
		"SharedAccessSignature sr=HUB.Example.NET%2Fdevices%2Fdev1&sig=SyXkySIcumvGleIkaz3kWgpOpWddPAC%2B"
		"d9iTUZkkDM8%3D&se=4102444800"},
	{"P16", "token service: device scope signed by a policy", "dev1", "", "device", NULL,
		"SharedAccessSignature sr=hub.example.net%2Fdevices%2Fdev1&sig=lP7xWsh2BIKL6PtoWsT8qb%2BWo0BBj59R"
		"DtbX5mm6QSY%3D&skn=device&se=4102444800"},
	{"P17", "se of 2^64-1 means never", "dev1", "", "", NULL,
		"SharedAccessSignature sr=hub.example.net/devices/dev1&sig=05QLeQZ65g4PSIO%2fwUDXDkxleSlDEBtp%2bJ"
		"JQQm%2fkPOA%3d&se=18446744073709551615"},
	{"P18", "c form of the special id, raw", SAS_VECTOR_SPECIAL_ID, "", "", NULL,
		"SharedAccessSignature sr=hub.example.net/devices/a-b.c+d%e_f#g*h?i!j(k),l=m@n$o'p&sig=iYjseomFjF"
		"8lct2Nh9YNFzvFFWapu2ls%2fbWt0ovTDWI%3d&se=4102444800"},
	{"P19", "policy token of device scope used by its module", "dev1", "mod-A", "device", NULL,
		"SharedAccessSignature sr=hub.example.net%2Fdevices%2Fdev1&sig=lP7xWsh2BIKL6PtoWsT8qb%2BWo0BBj59R"
		"DtbX5mm6QSY%3D&skn=device&se=4102444800"},
	{"P20", "lower-cased URI of a device with capitals", "Dev1", "", "", NULL,
		"SharedAccessSignature sr=hub.example.net%2fdevices%2fdev1&sig=BLFCUwKf7kTAKL6Q45V4Lry3voiBWUENgQ"
		"UcKohwQUA%3d&se=4102444800"},
	{"N1", "scope of another device", "dev1", "", "", "token_scope",
		"SharedAccessSignature sr=hub.example.net%2Fdevices%2Fdev2&sig=rg8k4hJlNBExuM%2FtLIhEc8OlJAzlrBMT"
		"Ojgq6BMWti0%3D&se=4102444800"},
	{"N2", "text prefix is not a segment prefix", "dev10", "", "", "token_scope",
		"SharedAccessSignature sr=hub.example.net%2Fdevices%2Fdev1&sig=lP7xWsh2BIKL6PtoWsT8qb%2BWo0BBj59R"
		"DtbX5mm6QSY%3D&se=4102444800&skn=device"},
	{"N3", "expired", "dev1", "", "", "token_expired",
		"SharedAccessSignature sr=hub.example.net%2Fdevices%2Fdev1&sig=00FsOAX7EJt%2F4OMWll3RxAztx6pAFuIe"
		"bScG8x%2FYcZg%3D&se=1700000000"},
	{"N4", "foreign key", "dev1", "", "", "token_signature",
		"SharedAccessSignature sr=hub.example.net%2Fdevices%2Fdev1&sig=uqqY6KAp0hDHGgcv1lYpwTNQ7aQqffCy4L"
		"K5kvdAk04%3D&se=4102444800"},
	{"N5", "signed over the decoded sr", "dev1", "", "", "token_signature",
		"SharedAccessSignature sr=hub.example.net%2Fdevices%2Fdev1&sig=i%2ByCgdjTscw8TYaNxSAW2Pzo1zWBOXv2"
		"CGBf4zq9wEs%3D&se=4102444800"},
	{"N6", "hex of sr lower-cased after signing", "dev1", "", "", "token_signature",
		"SharedAccessSignature sr=hub.example.net%2fdevices%2fdev1&sig=LqyUzl68kGRXzLQZq5VO0sfwYobzjE17x0"
		"k9%2F7ghShY%3D&se=4102444800"},
	{"N7", "se raised after signing", "dev1", "", "", "token_signature",
		"SharedAccessSignature sr=hub.example.net%2Fdevices%2Fdev1&sig=LqyUzl68kGRXzLQZq5VO0sfwYobzjE17x0"
		"k9%2F7ghShY%3D&se=4102444801"},
	{"N8", "first signature character changed", "dev1", "", "", "token_signature",
		"SharedAccessSignature sr=hub.example.net%2Fdevices%2Fdev1&sig=AqyUzl68kGRXzLQZq5VO0sfwYobzjE17x0"
		"k9%2F7ghShY%3D&se=4102444800"},
	{"N9", "se given twice", "dev1", "", "", "token_field_repeated",
		"SharedAccessSignature sr=hub.example.net%2Fdevices%2Fdev1&sig=LqyUzl68kGRXzLQZq5VO0sfwYobzjE17x0"
		"k9%2F7ghShY%3D&se=4102444800&se=4102444800"},
	{"N10", "other host", "dev1", "", "", "token_scope",
		"SharedAccessSignature sr=other.example.net%2Fdevices%2Fdev1&sig=tPl7nNc19FYqjhfG0Rp1JYlYAM9IZX4D"
		"GrHvOTYNR54%3D&se=4102444800"},
	{"N11", "HMAC keyed with the base64 text", "dev1", "", "", "token_signature",
		"SharedAccessSignature sr=hub.example.net%2Fdevices%2Fdev1&sig=x17HanOUtUq5jI3T%2BEzdqXG2jBpCEY5p"
		"iLPes08gMJk%3D&se=4102444800"},
	{"N12", "policy without DeviceConnect", "dev1", "", "", "token_policy_right",
		"SharedAccessSignature sr=hub.example.net&sig=RYjLNb9VAqU0lsFtVCnJHwtltV9tPkCEKDQW9yyQ0Fo%3D&se=4"
		"102444800&skn=service"},
	{"N13", "se of -1", "dev1", "", "", "token_expiry_form",
		"SharedAccessSignature sr=hub.example.net%2Fdevices%2Fdev1&sig=h28yFcQcnyqTCmiLo52X%2FEgIJeLoAPC%"
		"2BBLIk5Em8u0w%3D&se=-1"},
	{"N14", "se in hex", "dev1", "", "", "token_expiry_form",
		"SharedAccessSignature sr=hub.example.net%2Fdevices%2Fdev1&sig=ZA8Zio4iKKw3GR%2F%2FVXt1mK%2BMjMx4"
		"e5orcOzb7X7SHNI%3D&se=0xF4865700"},
	{"N15", "module scope presented by the device", "dev1", "", "", "token_scope",
		"SharedAccessSignature sr=hub.example.net%2Fdevices%2Fdev1%2Fmodules%2Fmod-A&sig=xhCbpzrW%2F6lshS"
		"oYINLV3YDZlJih8AFACA3SuZ8geT4%3D&se=4102444800"},
	{"N16", "unknown policy", "dev1", "", "", "token_policy_unknown",
		"SharedAccessSignature sr=hub.example.net%2Fdevices%2Fdev1&sig=lP7xWsh2BIKL6PtoWsT8qb%2BWo0BBj59R"
		"DtbX5mm6QSY%3D&se=4102444800&skn=nosuch"},
	{"N17", "identity key with scope {host}", "dev1", "", "", "token_scope",
		"SharedAccessSignature sr=hub.example.net&sig=xycNvIZYJ826u7N%2FZePVcCJIqK%2FToqxGSX01txRKGmQ%3D&"
		"se=4102444800"},
	{"N18", "half a segment", "dev1", "", "", "token_scope",
		"SharedAccessSignature sr=hub.example.net%2Fdev&sig=nMuzX3EsKZ%2BnsRmTDkDxOLy28cIK6mzXJAIr%2F7MIJ"
		"UQ%3D&se=4102444800&skn=device"},
	{"N19", "policy token for another case of the id", "dev1", "", "", "token_scope",
		"SharedAccessSignature sr=hub.example.net%2Fdevices%2FDEV1&sig=MIY5CcB9mEV%2BckUGK0OHKymrTolBuzS%"
		"2Fe0et%2Bb6e848%3D&se=4102444800&skn=device"},
};

enum { SAS_VECTOR_COUNT = sizeof sas_vectors / sizeof *sas_vectors };

#endif
