package proxmoxsim

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/hypervisor-control-plane/hcp/providers/rfb"
)

// dial opens the websocket of a proxy.
func (v *testVM) dial(proxy map[string]any, ticket string) (net.Conn, error) {
	v.t.Helper()
	query := url.Values{"port": {proxy["port"].(string)}, "vncticket": {ticket}}
	header := http.Header{"Authorization": {"PVEAPIToken=" + DefaultToken}}
	ctx, cancel := context.WithTimeout(v.t.Context(), 30*time.Second)
	v.t.Cleanup(cancel)
	ws, _, err := websocket.Dial(ctx, v.url+apiPrefix+vm101+"/vncwebsocket?"+query.Encode(), //nolint:bodyclose // the library has closed it, or it is the connection
		&websocket.DialOptions{HTTPHeader: header, Subprotocols: []string{"binary"}})
	if err != nil {
		return nil, err
	}
	conn := websocket.NetConn(ctx, ws, websocket.MessageBinary)
	v.t.Cleanup(func() { _ = conn.Close() })
	return conn, nil
}

func (v *testVM) console(path string, params ...string) (proxy map[string]any, conn net.Conn) {
	v.t.Helper()
	data, refusal := v.call("POST", vm101+path, params...)
	if refusal != "" {
		v.t.Fatal(refusal)
	}
	proxy = data.(map[string]any)
	conn, err := v.dial(proxy, proxy["ticket"].(string))
	if err != nil {
		v.t.Fatal(err)
	}
	return proxy, conn
}

// The screen of the simulated guests is 640 pixels wide.
const screenWidth = 640

func TestTheScreenIsShownToWhoKnowsThePassword(t *testing.T) {
	v := cluster(t, Options{})
	v.clone101()
	v.do("POST", vm101+"/status/start")
	proxy, conn := v.console("/vncproxy", "websocket", "1", "generate-password", "1")
	if err := rfb.Authenticate(t.Context(), conn, proxy["password"].(string)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write([]byte{1}); err != nil {
		t.Fatal(err)
	}
	init := make([]byte, 24)
	if _, err := io.ReadFull(conn, init); err != nil {
		t.Fatal(err)
	}
	name := make([]byte, binary.BigEndian.Uint32(init[20:]))
	if _, err := io.ReadFull(conn, name); err != nil || string(name) != "web" || binary.BigEndian.Uint16(init) != screenWidth {
		t.Errorf("the screen is %q, %v wide: %v", name, binary.BigEndian.Uint16(init), err)
	}
	v.do("POST", vm101+"/status/stop")
	if _, err := io.ReadAll(conn); errors.Is(err, context.DeadlineExceeded) {
		t.Error("the stream goes on without its guest")
	}
	if exit := v.exit(proxy["upid"].(string)); exit != "OK" {
		t.Errorf("the proxy ended with %q", exit)
	}
}

func TestTheTicketIsThePasswordWithoutAnother(t *testing.T) {
	v := cluster(t, Options{})
	v.clone101()
	v.do("POST", vm101+"/status/start")
	proxy, conn := v.console("/vncproxy", "websocket", "1")
	if err := rfb.Authenticate(t.Context(), conn, proxy["ticket"].(string)); err != nil {
		t.Fatal(err)
	}
	_, conn = v.console("/vncproxy", "websocket", "1")
	var refused *rfb.RefusedError
	if err := rfb.Authenticate(t.Context(), conn, "wrong"); !errors.As(err, &refused) {
		t.Errorf("a wrong password is answered %v", err)
	}
}

func TestTheSerialLineSpeaksTheTerminalsProtocol(t *testing.T) {
	v := cluster(t, Options{})
	v.clone101()
	v.do("POST", vm101+"/status/start")
	proxy, conn := v.console("/termproxy")
	said := proxy["user"].(string) + ":" + proxy["ticket"].(string) + "\n1:80:25:20:11:write hi th0:3:ere0:1:\n"
	if _, err := io.WriteString(conn, said); err != nil {
		t.Fatal(err)
	}
	for got, b := "", make([]byte, 512); !strings.HasPrefix(got, "OK\r\nweb serial console") || v.disk(101, "scsi0") != "hi there"; {
		n, err := conn.Read(b)
		if err != nil {
			t.Fatalf("%v after %q", err, got)
		}
		got += string(b[:n])
	}
	v.do("PUT", vm101+"/config", "delete", "serial0")
	v.do("POST", vm101+"/status/reboot")
	v.refused("unable to find a serial interface", "POST", vm101+"/termproxy")
}

func TestAConsoleNeedsItsTicketAndARunningGuest(t *testing.T) {
	v := cluster(t, Options{})
	v.clone101()
	data, _ := v.call("POST", vm101+"/vncproxy", "websocket", "1")
	if exit := v.exit(data.(map[string]any)["upid"].(string)); exit != "VM 101 not running" {
		t.Errorf("the proxy of a stopped guest ended with %q", exit)
	}
	v.do("POST", vm101+"/status/start")
	data, _ = v.call("POST", vm101+"/vncproxy", "websocket", "1")
	if _, err := v.dial(data.(map[string]any), "PVEVNC:0::x"); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("a wrong ticket is answered %v", err)
	}
	v.refused("Connection refused", "GET", vm101+"/vncwebsocket", "port", "5999", "vncticket", "x")
}
