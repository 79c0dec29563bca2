package message

// Method is a request method sipd knows by number; any other token is Unknown and passes by its text.
type Method uint8

// The methods.
const (
	Unknown Method = iota
	INVITE
	ACK
	BYE
	CANCEL
	OPTIONS
	REGISTER
	MESSAGE
	SUBSCRIBE
	NOTIFY
	PUBLISH
	INFO
	PRACK
	UPDATE
	REFER
)

var methodNames = [...]string{
	Unknown: "Unknown", INVITE: "INVITE", ACK: "ACK", BYE: "BYE", CANCEL: "CANCEL", OPTIONS: "OPTIONS",
	REGISTER: "REGISTER", MESSAGE: "MESSAGE", SUBSCRIBE: "SUBSCRIBE", NOTIFY: "NOTIFY", PUBLISH: "PUBLISH",
	INFO: "INFO", PRACK: "PRACK", UPDATE: "UPDATE", REFER: "REFER",
}

// String returns the method's text.
func (m Method) String() string {
	if int(m) < len(methodNames) {
		return methodNames[m]
	}
	return methodNames[Unknown]
}

// ParseMethod returns the method of a text, Unknown for one that is not known. Methods are case-sensitive (RFC 3261 7.1)
// and "%" is no escape in them (RFC 4475 3.1.1.5).
func ParseMethod(text []byte) Method {
	switch string(text) {
	case "INVITE":
		return INVITE
	case "ACK":
		return ACK
	case "BYE":
		return BYE
	case "CANCEL":
		return CANCEL
	case "OPTIONS":
		return OPTIONS
	case "REGISTER":
		return REGISTER
	case "MESSAGE":
		return MESSAGE
	case "SUBSCRIBE":
		return SUBSCRIBE
	case "NOTIFY":
		return NOTIFY
	case "PUBLISH":
		return PUBLISH
	case "INFO":
		return INFO
	case "PRACK":
		return PRACK
	case "UPDATE":
		return UPDATE
	case "REFER":
		return REFER
	}
	return Unknown
}
