package embedded

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	uiserver "github.com/temporalio/ui-server/v2/server"
	uiconfig "github.com/temporalio/ui-server/v2/server/config"
	"github.com/temporalio/ui-server/v2/server/server_options"
)

// WebUIOptions are the settings of the Web UI.
type WebUIOptions struct {
	// Temporal is the address of the frontend, Namespace what the UI opens with.
	Temporal, Namespace string
	// PublicPath is the path that a proxy in front serves the UI under ("/temporal").
	PublicPath string
	// Port on 127.0.0.1; 0 takes a free one.
	Port int
}

// WebUI is a running Temporal Web UI. It knows no users: whoever reaches its
// port may do everything, so that a proxy that asks who comes must stand
// before it.
type WebUI struct {
	addr  string
	inner *uiserver.Server
}

// StartWebUI starts the Web UI and returns once it answers.
func StartWebUI(ctx context.Context, o WebUIOptions) (*WebUI, error) {
	// The UI's own Start ends the process when its port is taken. Finding the
	// port free just before leaves the least room for that.
	port, err := FreePorts(ctx, o.Port)
	if err != nil {
		return nil, err
	}
	ui := &WebUI{
		addr: loopback + ":" + strconv.Itoa(port[0]),
		inner: uiserver.NewServer(server_options.WithConfigProvider(&uiconfig.Config{
			TemporalGRPCAddress: o.Temporal,
			Host:                loopback,
			Port:                port[0],
			PublicPath:          o.PublicPath,
			EnableUI:            true,
			DefaultNamespace:    o.Namespace,
			DisableNewsFetch:    true,
			HideLogs:            true,
			CORS:                uiconfig.CORS{CookieInsecure: true},
		})),
	}
	failed := make(chan error, 1)
	go func() { failed <- ui.inner.Start() }()
	if err := ui.ready(ctx, failed); err != nil {
		ui.Stop()
		return nil, fmt.Errorf("start the Temporal Web UI: %w", err)
	}
	return ui, nil
}

func (ui *WebUI) ready(ctx context.Context, failed <-chan error) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	hc := &http.Client{Timeout: time.Second}
	return poll(ctx, func() error {
		select {
		case err := <-failed:
			cancel()
			return fmt.Errorf("stopped at once: %w", err)
		default:
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, ui.URL().JoinPath("healthz").String(), nil)
		if err != nil {
			return err
		}
		resp, err := hc.Do(req)
		if err != nil {
			return err
		}
		return resp.Body.Close()
	})
}

// URL is where the UI listens, without the public path.
func (ui *WebUI) URL() *url.URL { return &url.URL{Scheme: "http", Host: ui.addr} }

// Stop stops the UI at once.
func (ui *WebUI) Stop() { ui.inner.Stop() }
