package server

import (
	"context"

	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/server/api"
)

// ListProjects lists the tenant's projects that the caller may see into.
func (s *Server) ListProjects(ctx context.Context, r api.ListProjectsRequestObject) (api.ListProjectsResponseObject, error) {
	info := requestOf(ctx)
	l := listingOf(info)
	at, err := s.pageOf(l, r.Params.PageToken, r.Params.Limit, sortOf(r.Params.Sort))
	if err != nil {
		return nil, err
	}
	rows, next, err := s.store.ListProjectsOf(ctx, info.Principal.TenantID, info.Projects, at)
	if err != nil {
		return nil, err
	}
	return page(s, l, rows, next, projectView)
}

// GetProject reads a project of the tenant.
func (s *Server) GetProject(ctx context.Context, r api.GetProjectRequestObject) (api.GetProjectResponseObject, error) {
	row, err := s.store.GetProject(ctx, requestOf(ctx).Principal.TenantID, r.ProjectID)
	if err != nil {
		return nil, err
	}
	return generation(projectView(row), row.Generation, r.Params.IfNoneMatch), nil
}

// OpsListProjects lists the projects of every tenant.
func (s *Server) OpsListProjects(ctx context.Context, r api.OpsListProjectsRequestObject) (api.OpsListProjectsResponseObject, error) {
	l := listingOf(requestOf(ctx))
	at, err := s.pageOf(l, r.Params.PageToken, r.Params.Limit, sortOf(r.Params.Sort))
	if err != nil {
		return nil, err
	}
	rows, next, err := s.store.ListProjectsAny(ctx, at)
	if err != nil {
		return nil, err
	}
	return page(s, l, rows, next, projectView)
}

// OpsGetProject reads a project of any tenant.
func (s *Server) OpsGetProject(ctx context.Context, r api.OpsGetProjectRequestObject) (api.OpsGetProjectResponseObject, error) {
	row, err := s.store.GetProjectAny(ctx, r.ProjectID)
	if err != nil {
		return nil, err
	}
	return generation(projectView(row), row.Generation, r.Params.IfNoneMatch), nil
}

// OpsCreateProject creates a project.
func (s *Server) OpsCreateProject(ctx context.Context, r api.OpsCreateProjectRequestObject) (api.OpsCreateProjectResponseObject, error) {
	b := *r.Body
	in := models.Project{ID: valueOf(b.ID), TenantID: b.TenantID, Name: b.Name}
	return s.created(ctx, func(c store.Caller, idem *store.Idempotency) (store.Answer, bool, error) {
		return s.store.CreateProject(ctx, c, in, idem, func(row models.Project) (store.Answer, error) {
			return createdAnswer(ctx, row.ID, projectView(row))
		})
	})
}

// OpsUpdateProject changes a project.
func (s *Server) OpsUpdateProject(ctx context.Context, r api.OpsUpdateProjectRequestObject) (api.OpsUpdateProjectResponseObject, error) {
	return s.changed(ctx, r.Params.IfMatch, func(w store.Write) (store.Answer, bool, error) {
		return s.store.UpdateProject(ctx, r.ProjectID, r.Body.Name, w, func(row models.Project) (store.Answer, error) {
			return changedAnswer(row.Generation, projectView(row))
		})
	})
}

// OpsDeleteProject retires a project that has no VMs.
func (s *Server) OpsDeleteProject(ctx context.Context, r api.OpsDeleteProjectRequestObject) (api.OpsDeleteProjectResponseObject, error) {
	return s.changed(ctx, r.Params.IfMatch, func(w store.Write) (store.Answer, bool, error) {
		return s.store.DeleteProject(ctx, r.ProjectID, w, goneAnswer())
	})
}

func projectView(p models.Project) api.Project {
	return api.Project{ID: p.ID, TenantID: p.TenantID, Name: p.Name, CreatedAt: p.CreatedAt}
}
