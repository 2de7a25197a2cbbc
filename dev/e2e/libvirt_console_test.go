package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/dev/browsertest"
	"github.com/hypervisor-control-plane/hcp/providers/libvirt/libvirttest"
)

// The console of a QEMU guest under a real libvirtd, in a real browser: its
// screen shows what it boots, its serial line takes commands, and a ticket is
// good for one connection.
func TestConsoleOfARealGuest(t *testing.T) {
	t.Parallel()
	b := browsertest.Start(t)
	image := libvirttest.Guest(t)
	hv := libvirttest.Start(t)
	binding, err := hv.Image(t.Context(), "guest.qcow2", image, "qcow2")
	require.NoError(t, err)
	dir := t.TempDir()
	p := start(t, dir)
	registerLibvirt(t, p, hv, binding.Ref)
	c := p.tenant()
	a := createGuest(t, c, "screened")
	c.done(t, a.JobID)

	page := b.Open(t, p.APIURL, browsertest.Look{})
	vnc := openConsole(t, c, a.VMID, "vnc")
	require.Equal(t, http.StatusOK, page.Goto(vnc.path(t, p)))
	hv.WaitSerial(t, a.VMID, "GUEST-READY", 1, bootLimit)
	page.Await("document.querySelector('#app').dataset.state", "connected")
	const lit = `(()=>{const c=document.querySelector('#stage canvas');const d=c.getContext('2d').getImageData(0,0,c.width,c.height).data;` +
		`let n=0;for(let i=0;i<d.length;i+=4)if(d[i]>100&&d[i+1]>100&&d[i+2]>100)n++;return n})()`
	page.Await(lit+" > 1000", true)
	var before, after int
	page.Eval(lit, &before)
	page.Screenshot("console-libvirt-vnc")
	page.Type("uptime")
	page.Press("Enter")
	eventually(t, jobLimit, func() error { // what is typed, and the answer, are on the screen
		if page.Eval(lit, &after); after < before+500 {
			return fmt.Errorf("%d pixels are lit, as %d before", after, before)
		}
		return nil
	})
	page.Screenshot("console-libvirt-vnc-typed")
	page.Clean()

	serial := b.Open(t, p.APIURL, browsertest.Look{})
	web := openConsole(t, c, a.VMID, "web")
	require.Equal(t, http.StatusOK, serial.Goto(web.path(t, p)))
	serial.Await("document.querySelector('#app').dataset.state", "connected")
	serial.Type("nproc")
	serial.Press("Enter")
	serial.Await("document.querySelector('.xterm-rows').innerText.replaceAll('\\u00a0', ' ').includes('GUEST-SAYS nproc 1')", true)
	serial.Screenshot("console-libvirt-serial")
	serial.Clean()

	t.Run("a ticket that was used", func(t *testing.T) {
		require.Equal(t, http.StatusGone, p.dial(t, vnc, nil))
		require.Equal(t, http.StatusGone, b.Open(t, p.APIURL, browsertest.Look{}).Goto(vnc.path(t, p)))
	})
	t.Run("another project", func(t *testing.T) {
		x := openConsole(t, c, a.VMID, "web")
		require.Equal(t, http.StatusNotFound, p.dial(t, x, http.Header{"Authorization": {"Bearer " + p.OtherTenantToken}}))
		var list struct {
			Items []struct{ State string } `json:"items"`
		}
		c.call(t, http.MethodGet, c.vms()+"/"+a.VMID+"/console-sessions?limit=1", nil, http.StatusOK, &list)
		require.Equal(t, "READY", list.Items[0].State, "the attempt did not burn it")
		p.other().call(t, http.MethodGet, "/tenant/v1/projects/"+c.project+"/vms/"+a.VMID+"/console-sessions", nil, http.StatusNotFound, nil)
	})
	t.Run("a ticket that has expired", func(t *testing.T) {
		x := openConsole(t, c, a.VMID, "web")
		eventually(t, 2*time.Minute, func() error {
			if left := time.Until(x.ExpiresAt); left > 0 {
				return fmt.Errorf("good for another %s", left)
			}
			return nil
		})
		require.Equal(t, http.StatusGone, p.dial(t, x, nil))
	})
	whole := t // what is started anew outlives its subtest
	t.Run("the control plane was killed", func(t *testing.T) {
		used, fresh := openConsole(t, c, a.VMID, "web"), openConsole(t, c, a.VMID, "web")
		require.Equal(t, http.StatusSwitchingProtocols, p.dial(t, used, nil))
		p.kill(t)
		p = start(whole, dir)
		c = p.tenant()
		require.Equal(t, http.StatusGone, p.dial(t, used, nil), "burnt is burnt")
		require.Equal(t, http.StatusSwitchingProtocols, p.dial(t, fresh, nil), "its ticket is in the database")
		require.Equal(t, http.StatusGone, p.dial(t, fresh, nil))
	})
	t.Run("the VM was stopped", func(t *testing.T) {
		x := openConsole(t, c, a.VMID, "vnc")
		watching := b.Open(t, p.APIURL, browsertest.Look{})
		require.Equal(t, http.StatusOK, watching.Goto(openConsole(t, c, a.VMID, "vnc").path(t, p)))
		watching.Await("document.querySelector('#app').dataset.state", "connected")
		c.done(t, c.verb(t, a.VMID, "stop", map[string]any{"mode": "force"}).JobID)
		require.Equal(t, http.StatusGone, p.dial(t, x, nil))
		watching.Await("document.querySelector('#notice').hidden", false)
		watching.Screenshot("console-libvirt-stopped")
		var refused problem
		c.call(t, http.MethodPost, c.vms()+"/"+a.VMID+":console", nil, http.StatusConflict, &refused)
		require.Equal(t, "INVALID_STATE", refused.Code)
	})
	c.done(t, c.delete(t, a.VMID).JobID)
	require.Empty(t, domains(t, hv))
}

// consoleAccess is the answer to :console.
type consoleAccess struct {
	Type      string    `json:"type"`
	URL       string    `json:"url"`
	ExpiresAt time.Time `json:"expires_at"`
}

func openConsole(t *testing.T, c client, vmID, typ string) consoleAccess {
	t.Helper()
	var a consoleAccess
	c.call(t, http.MethodPost, c.vms()+"/"+vmID+":console", map[string]any{"type": typ}, http.StatusOK, &a)
	require.Equal(t, typ, a.Type)
	require.WithinDuration(t, time.Now().Add(time.Minute), a.ExpiresAt, 30*time.Second)
	return a
}

// path is the console's path at a control plane, which may have started anew on
// another port.
func (a consoleAccess) path(t *testing.T, p *instance) string {
	t.Helper()
	_, ticket, ok := strings.Cut(a.URL, "/console/")
	require.True(t, ok, "%s is at %s", a.URL, p.APIURL)
	return "/console/" + ticket
}

// dial connects to a console's stream as a page of the control plane's would,
// and returns the status.
func (p *instance) dial(t *testing.T, a consoleAccess, header http.Header) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), jobLimit)
	defer cancel()
	if header == nil {
		header = http.Header{}
	}
	header.Set("Origin", p.APIURL)
	conn, resp, err := websocket.Dial(ctx, p.APIURL+a.path(t, p)+"/stream", &websocket.DialOptions{
		HTTPHeader: header, Subprotocols: []string{"binary"},
	})
	if err == nil {
		t.Cleanup(func() { _ = conn.CloseNow() })
	}
	require.NotNil(t, resp, "%v", err)
	if resp.Body != nil {
		_ = resp.Body.Close() // of a refusal; a connection has none
	}
	return resp.StatusCode
}
