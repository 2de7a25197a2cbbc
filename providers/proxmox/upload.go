package proxmox

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"mime/multipart"
	"net/http"
	"slices"
	"strings"

	"github.com/hypervisor-control-plane/hcp/providers"
)

// upload stores a file, and waits until the hypervisor has put it in its place:
// what names it before that does not find it.
func (p *Provider) upload(ctx context.Context, op, path, content, name string, data []byte) *providers.Error {
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	err := w.WriteField("content", content)
	if err == nil {
		var file io.Writer
		if file, err = w.CreateFormFile("filename", name); err == nil {
			_, err = file.Write(data)
		}
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return fail(op, providers.Internal, nil, "the user data cannot be written")
	}
	var answer taskAnswer
	failure := p.call(ctx, op, func(ctx context.Context) error {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, apiBase+path, &body)
		if err != nil {
			return err
		}
		r.Header.Set("Content-Type", w.FormDataContentType())
		res, err := (&http.Client{Transport: p.transport}).Do(r) //nolint:bodyclose // read closes it
		if err != nil {
			return err
		}
		return answer.read(res)
	})
	if failure != nil {
		return failure
	}
	return p.await(ctx, op, answer.Data)
}

// taskAnswer is an answer that names a task of the hypervisor.
type taskAnswer struct {
	Data string `json:"data"`
}

func (a *taskAnswer) read(res *http.Response) (err error) {
	defer func() {
		if closeErr := res.Body.Close(); err == nil {
			err = closeErr
		}
	}()
	return json.NewDecoder(io.LimitReader(res.Body, 1<<20)).Decode(a)
}

// uploading is Aborted while a node puts files of ours in their places: one that
// is not listed may be there soon.
func (p *Provider) uploading(ctx context.Context, op, node string) *providers.Error {
	running, err := p.uploads(ctx, op, node)
	if err == nil && len(running) > 0 {
		err = fail(op, providers.Aborted, nil, "the hypervisor is storing user data")
	}
	return err
}

// uploaded waits until a node has put the files in their places that it has of us
// now.
func (p *Provider) uploaded(ctx context.Context, op, node string) *providers.Error {
	if p.cfg.isoStorage == "" && p.cfg.snippetStorage == "" {
		return nil
	}
	running, err := p.uploads(ctx, op, node)
	if err != nil {
		return err
	}
	for _, t := range running {
		if err := p.await(ctx, op, t.UPID); err != nil && ctx.Err() != nil {
			return err
		}
	}
	return nil
}

// uploads are the tasks by which a node puts files of ours in their places.
func (p *Provider) uploads(ctx context.Context, op, node string) ([]listedTask, *providers.Error) {
	user := p.cfg.credentials.Username
	if token := p.cfg.credentials.Token; token != "" {
		user, _, _ = strings.Cut(token, "=")
	}
	var rows []listedTask
	err := p.get(ctx, op, apiPath("nodes", node, "tasks"), params{
		"source": "active", "typefilter": "imgcopy", "userfilter": user, "limit": 20,
	}, &rows)
	return slices.DeleteFunc(rows, func(t listedTask) bool { return !t.runs() }), err
}
