package store

import (
	"fmt"

	"gorm.io/gorm"

	"github.com/hypervisor-control-plane/hcp/models"
)

// prepareRebuild checks that the image is there and fits on the VM's disk.
// Whether it is bound where the VM is placed is found out by the step that
// needs it, as in a create.
func (s *Store) prepareRebuild(tx *gorm.DB, vm lockedVM, op *models.Operation) error {
	var image struct {
		MinDiskGiB int `gorm:"column:min_disk_gib"`
	}
	rows := tx.Raw("SELECT min_disk_gib FROM images WHERE id = ? AND "+present+s.dialect.share(), op.Params.ImageID).Scan(&image)
	if rows.Error != nil {
		return wrap(rows.Error, "read the image")
	}
	if rows.RowsAffected == 0 {
		return &ReferenceError{Field: "/image_id", Detail: "there is no such image"}
	}
	var have struct {
		ImageID string
		DiskGiB int `gorm:"column:disk_gib"`
	}
	if err := scanOne(tx, &have, "read the VM's image", "SELECT image_id, disk_gib FROM vms WHERE id = ?", vm.ID); err != nil {
		return err
	}
	if have.DiskGiB < image.MinDiskGiB {
		return &ReferenceError{Field: "/image_id", Detail: fmt.Sprintf("the image needs a disk of at least %d GiB; the VM has %d", image.MinDiskGiB, have.DiskGiB)}
	}
	op.Params.FromImageID = have.ImageID
	return nil
}
