package vspheresim

import (
	"reflect"
	"strings"

	"github.com/vmware/govmomi/vim25/types"
)

// isMethod reports whether the API has a method of this name.
func isMethod(name string) bool {
	t, ok := types.TypeFunc()(name)
	if !ok || name == "" || strings.ToUpper(name[:1]) != name[:1] || t.Kind() != reflect.Struct {
		return false
	}
	this, ok := t.FieldByName("This")
	return ok && this.Type == reflect.TypeFor[types.ManagedObjectReference]()
}

// faultOf makes a fault of the API of a type.
func faultOf(name string) (types.BaseMethodFault, bool) {
	t, ok := types.TypeFunc()(name)
	if !ok || t.Kind() != reflect.Struct {
		return nil, false
	}
	fault, ok := reflect.New(t).Interface().(types.BaseMethodFault)
	return fault, ok
}
