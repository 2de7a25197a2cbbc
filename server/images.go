package server

import (
	"context"

	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/server/api"
)

// ListImages lists the images, without where they lie.
func (s *Server) ListImages(ctx context.Context, r api.ListImagesRequestObject) (api.ListImagesResponseObject, error) {
	l := listingOf(requestOf(ctx))
	at, err := s.pageOf(l, r.Params.PageToken, r.Params.Limit, sortOf(r.Params.Sort))
	if err != nil {
		return nil, err
	}
	rows, next, err := s.store.ListImages(ctx, at)
	if err != nil {
		return nil, err
	}
	return page(s, l, rows, next, imageView)
}

// OpsListImages lists the images and where they lie.
func (s *Server) OpsListImages(ctx context.Context, r api.OpsListImagesRequestObject) (api.OpsListImagesResponseObject, error) {
	l := listingOf(requestOf(ctx))
	at, err := s.pageOf(l, r.Params.PageToken, r.Params.Limit, sortOf(r.Params.Sort))
	if err != nil {
		return nil, err
	}
	rows, next, err := s.store.ListImages(ctx, at)
	if err != nil {
		return nil, err
	}
	return page(s, l, rows, next, opsImageView)
}

// OpsGetImage reads an image.
func (s *Server) OpsGetImage(ctx context.Context, r api.OpsGetImageRequestObject) (api.OpsGetImageResponseObject, error) {
	row, err := s.store.GetImage(ctx, r.ImageID)
	if err != nil {
		return nil, err
	}
	return tagged(opsImageView(row), r.Params.IfNoneMatch), nil
}

// OpsCreateImage creates an image.
func (s *Server) OpsCreateImage(ctx context.Context, r api.OpsCreateImageRequestObject) (api.OpsCreateImageResponseObject, error) {
	b := *r.Body
	in := models.Image{
		ID: valueOf(b.ID), Name: b.Name, Description: valueOf(b.Description),
		OSType: string(valueOf(b.OsType)), MinDiskGiB: valueOf(b.MinDiskGib),
	}
	for _, x := range b.Bindings {
		in.Bindings = append(in.Bindings, models.ImageBinding{
			ProviderID: x.ProviderID, ClusterID: valueOf(x.ClusterID), Ref: x.Ref,
			Format: string(valueOf(x.Format)), CloneMode: models.CloneMode(valueOf(x.CloneMode)),
		})
	}
	return s.created(ctx, func(c store.Caller, idem *store.Idempotency) (store.Answer, bool, error) {
		return s.store.CreateImage(ctx, c, in, idem, func(row models.Image) (store.Answer, error) {
			return createdAnswer(ctx, row.ID, opsImageView(row))
		})
	})
}

func imageView(i models.Image) api.Image {
	return api.Image{
		ID: i.ID, Name: i.Name, Description: i.Description, OsType: api.OSType(i.OSType), MinDiskGib: i.MinDiskGiB, CreatedAt: i.CreatedAt,
	}
}

// opsImage is api.OpsImage, made of a tenant's view and what only operators see.
type opsImage struct {
	api.Image
	Bindings []api.ImageBinding `json:"bindings"`
}

func opsImageView(i models.Image) opsImage {
	v := opsImage{Image: imageView(i), Bindings: make([]api.ImageBinding, len(i.Bindings))}
	for n, b := range i.Bindings {
		v.Bindings[n] = api.ImageBinding{
			ProviderID: b.ProviderID, ClusterID: optional(b.ClusterID), Ref: b.Ref,
			Format: optional(api.ImageBindingFormat(b.Format)), CloneMode: optional(api.ImageBindingCloneMode(b.CloneMode)),
		}
	}
	return v
}
