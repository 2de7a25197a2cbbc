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
	return generation(opsImageView(row), row.Generation, r.Params.IfNoneMatch), nil
}

// OpsCreateImage creates an image.
func (s *Server) OpsCreateImage(ctx context.Context, r api.OpsCreateImageRequestObject) (api.OpsCreateImageResponseObject, error) {
	b := *r.Body
	in := models.Image{
		ID: valueOf(b.ID), Name: b.Name, Description: valueOf(b.Description),
		OSType: string(valueOf(b.OsType)), MinDiskGiB: valueOf(b.MinDiskGib), Bindings: imageBindings(b.Bindings),
	}
	return s.created(ctx, func(c store.Caller, idem *store.Idempotency) (store.Answer, bool, error) {
		return s.store.CreateImage(ctx, c, in, idem, func(row models.Image) (store.Answer, error) {
			return createdAnswer(ctx, row.ID, opsImageView(row))
		})
	})
}

// OpsUpdateImage changes an image.
func (s *Server) OpsUpdateImage(ctx context.Context, r api.OpsUpdateImageRequestObject) (api.OpsUpdateImageResponseObject, error) {
	b := r.Body
	patch := store.ImagePatch{Name: b.Name, Description: b.Description, OSType: (*string)(b.OsType), MinDiskGiB: b.MinDiskGib}
	if b.Bindings != nil {
		bindings := imageBindings(*b.Bindings)
		patch.Bindings = &bindings
	}
	return s.changed(ctx, r.Params.IfMatch, func(w store.Write) (store.Answer, bool, error) {
		return s.store.UpdateImage(ctx, r.ImageID, patch, w, func(row models.Image) (store.Answer, error) {
			return changedAnswer(row.Generation, opsImageView(row))
		})
	})
}

// OpsDeleteImage retires an image that nothing uses.
func (s *Server) OpsDeleteImage(ctx context.Context, r api.OpsDeleteImageRequestObject) (api.OpsDeleteImageResponseObject, error) {
	return s.changed(ctx, r.Params.IfMatch, func(w store.Write) (store.Answer, bool, error) {
		return s.store.DeleteImage(ctx, r.ImageID, w, goneAnswer())
	})
}

func imageBindings(in []api.ImageBinding) []models.ImageBinding {
	out := make([]models.ImageBinding, len(in))
	for i, x := range in {
		out[i] = models.ImageBinding{
			ProviderID: x.ProviderID, ClusterID: valueOf(x.ClusterID), Ref: x.Ref,
			Format: string(valueOf(x.Format)), CloneMode: models.CloneMode(valueOf(x.CloneMode)),
		}
	}
	return out
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
