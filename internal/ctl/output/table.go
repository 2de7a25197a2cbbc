package output

import (
	"encoding/csv"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// gap is between two columns.
const gap = "   "

// minFlex is the width below which no column is cut.
const minFlex = 12

func (p *Printer) table(r Resource, objects []any) error {
	columns := p.choose(r, p.Format == Wide)
	var rows [][]string
	if !p.NoHeaders {
		head := make([]string, len(columns))
		for i, c := range columns {
			head[i] = strings.ToUpper(c.Header)
		}
		rows = append(rows, head)
	}
	for _, o := range objects {
		row := make([]string, len(columns))
		for i, c := range columns {
			if row[i] = p.cell(c, o); row[i] == "" {
				row[i] = "-"
			}
		}
		rows = append(rows, row)
	}
	widths := make([]int, len(columns))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	p.fit(columns, widths)
	return p.lines(rows, widths)
}

// fit cuts flexible columns, the last first, until a row fits the terminal.
func (p *Printer) fit(columns []Column, widths []int) {
	if p.Style.Width == 0 || p.Format == Wide {
		return
	}
	over := -p.Style.Width
	for i, w := range widths {
		if over += w; i > 0 {
			over += len(gap)
		}
	}
	for i := len(columns) - 1; i >= 0 && over > 0; i-- {
		if !columns[i].Flex || widths[i] <= minFlex {
			continue
		}
		take := min(over, widths[i]-minFlex)
		widths[i] -= take
		over -= take
	}
}

func (p *Printer) lines(rows [][]string, widths []int) error {
	var b strings.Builder
	for _, row := range rows {
		for i, cell := range row {
			cell = p.Style.Cut(cell, widths[i])
			b.WriteString(cell)
			if i < len(row)-1 {
				b.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)) + gap)
			}
		}
		b.WriteByte('\n')
	}
	_, err := io.WriteString(p.W, b.String())
	return err
}

// fields prints one resource, a member a line.
func (p *Printer) fields(r Resource, object any) error {
	columns := p.choose(r, true)
	rows := make([][]string, 0, len(columns))
	width := 0
	for _, c := range columns {
		if c.Age { // one resource has room for the time itself
			c.Header, c.Age = c.Path, false
		}
		v := p.cell(c, object)
		if v == "" && len(p.Columns) == 0 {
			continue
		}
		rows = append(rows, []string{strings.ToLower(c.Header) + ":", v})
		width = max(width, utf8.RuneCountInString(c.Header)+1)
	}
	if p.NoHeaders {
		for i := range rows {
			rows[i] = rows[i][1:]
		}
	}
	var b strings.Builder
	for _, row := range rows {
		if len(row) == 1 {
			b.WriteString(row[0] + "\n")
			continue
		}
		b.WriteString(row[0] + strings.Repeat(" ", width-utf8.RuneCountInString(row[0])+1) + row[1] + "\n")
	}
	_, err := io.WriteString(p.W, b.String())
	return err
}

func (p *Printer) csv(r Resource, objects []any) error {
	columns := p.choose(r, true)
	w := csv.NewWriter(p.W)
	row := make([]string, len(columns))
	if !p.NoHeaders {
		for i, c := range columns {
			row[i] = strings.ToLower(c.Header)
		}
		if err := w.Write(row); err != nil {
			return err
		}
	}
	for _, o := range objects {
		for i, c := range columns {
			c.Age = false // a program wants the time itself
			row[i] = p.cell(c, o)
		}
		if err := w.Write(row); err != nil {
			return err
		}
	}
	w.Flush()
	return w.Error()
}

func sortedKeys(m map[string]any) []string { return slices.Sorted(maps.Keys(m)) }
