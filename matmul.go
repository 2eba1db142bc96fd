package main

import "sync"

// The ground: the matrix product, nine tenths of all that the program computes. It is
// put together of tiles (kernels_generic.go), in an order that suits the caches.

// A matrix is a window on a slice: element (i, j) is data[i·rowStep + j·colStep].
type matrix struct {
	data             []float32
	rows, cols       int
	rowStep, colStep int
}

// rowMajor sees data as a matrix whose rows follow one another.
func rowMajor(data []float32, rows, cols int) matrix {
	return matrix{data[:rows*cols], rows, cols, cols, 1}
}

// repeated is a matrix of equal rows, of which only one is stored.
func repeated(row []float32, rows int) matrix {
	return matrix{row, rows, len(row), 0, 1}
}

// T is the transposed matrix; nothing is moved.
func (m matrix) T() matrix {
	return matrix{m.data, m.cols, m.rows, m.colStep, m.rowStep}
}

// at is the slice from element (i, j) on.
func (m matrix) at(i, j int) []float32 {
	return m.data[i*m.rowStep+j*m.colStep:]
}

// row is row i of a matrix whose rows' elements lie side by side.
func (m matrix) row(i int) []float32 { return m.at(i, 0)[:m.cols] }

// part is the window of rows × cols elements that begins at (i, j).
func (m matrix) part(i, j, rows, cols int) matrix {
	return matrix{m.at(i, j), rows, cols, m.rowStep, m.colStep}
}

// A product is c = start + a·b. An element is one chain of fused multiply-adds
// over ascending k that begins at start: a bias (repeated), what is in c
// already (c itself), or nothing (the zero matrix). The elements of a row lie
// side by side in c and in start; in b, those of a row or of a column.
type product struct{ c, a, b, start matrix }

// rows, cols and depth are the parts of a product that need only these rows of a,
// columns of b, or terms of each sum.
func (p product) rows(lo, hi int) product {
	p.c, p.a = p.c.part(lo, 0, hi-lo, p.c.cols), p.a.part(lo, 0, hi-lo, p.a.cols)
	p.start = p.start.part(lo, 0, hi-lo, p.start.cols)
	return p
}

func (p product) cols(lo, hi int) product {
	p.c, p.b = p.c.part(0, lo, p.c.rows, hi-lo), p.b.part(0, lo, p.b.rows, hi-lo)
	p.start = p.start.part(0, lo, p.start.rows, hi-lo)
	return p
}

func (p product) depth(lo, hi int) product {
	p.a, p.b = p.a.part(0, lo, p.a.rows, hi-lo), p.b.part(lo, 0, hi-lo, p.b.cols)
	return p
}

// matmul computes c = start + a·b on all workers, and so not inside a body of parallel: there
// product.compute does. The longer side of c is shared out in whole tiles. For each part the
// other operand is packed anew, so the parts are large: one for each worker, unless that were
// more than 128 tiles down, or 32 across.
func matmul(c, a, b, start matrix) {
	fits := start.data == nil || start.rows == c.rows && start.cols == c.cols
	if !fits || a.rows != c.rows || b.cols != c.cols || a.cols != b.rows || a.cols == 0 {
		panic("matmul: the shapes do not fit")
	}
	if c.rows == 0 || c.cols == 0 {
		return
	}
	shared.Lock()
	defer shared.Unlock()
	shared.product = product{c, a, b, start}
	if c.rows > c.cols {
		tiles := (c.rows + kernels.tileRows - 1) / kernels.tileRows
		parallel(tiles, min(128, max(tiles/workers, 1)), sharedRows)
	} else {
		tiles := (c.cols + kernels.tileCols - 1) / kernels.tileCols
		parallel(tiles, min(32, max(tiles/workers, 1)), sharedCols)
	}
}

// bf16 tells whether products round their factors to bfloat16 (kernels_bf16.go).
var bf16 bool

// inBF16 makes it so, or not, until back is called.
func inBF16(on bool) (back func()) {
	before := bf16
	bf16 = on
	return func() { bf16 = before }
}

// packedDepth is how many steps of k a tile has for so many terms: half of them where a pair
// is one.
func packedDepth(terms int) int {
	if !bf16 {
		return terms
	}
	return (terms + 1) / 2 * kernels.pairFloats
}

// shared is the product that all workers are at. It is not in a closure, which would be
// garbage after each product.
var shared struct {
	sync.Mutex
	product
}

func sharedRows(lo, hi int) {
	shared.rows(lo*kernels.tileRows, min(hi*kernels.tileRows, shared.c.rows)).compute()
}

func sharedCols(lo, hi int) {
	shared.cols(lo*kernels.tileCols, min(hi*kernels.tileCols, shared.c.cols)).compute()
}

// Both operands are read many times, and the processor is quick only at memory that is
// in its caches. So a block of b of blockDepth × blockCols, copied to where its rows are
// side by side ("packed"), stays in the larger caches while the rows of a go by. It is
// deep, since each c is read and written once for each block. An a that is transposed is
// packed too, groupRows at a time; they have to stay in the caches as well, so blocks are
// then only groupDepth deep. blockCols and groupRows are multiples of the columns and
// rows of every tile.
const (
	blockDepth, blockCols = 512, 512
	groupDepth, groupRows = 256, 504
)

// Some operands may as well be read where they lie, since the processor foresees what
// comes next: rows that are no further apart than near, and the rows of an a that is
// not transposed. But rows a multiple of conflict (4 KB) apart all fall into the same few
// places of the first-level cache, so they are packed, a tile's at a time.
const near, conflict = 256, 1024

// Packed panels have gap floats between them, and a tile's packed rows are packedRow apart,
// so that neither is a multiple of conflict apart, at the usual depths.
const gap, packedRow = 16, blockDepth + 16

// A workbench is what a worker needs for a product: room for a block of b, for a group
// of rows of a, and for a tile's rows of a; the tile that it is at; and what tiles fetch.
type workbench struct {
	b     [(blockDepth + gap) * blockCols]float32
	a     [(groupDepth + gap) * groupRows]float32
	aRows [packedRow * 12]float32
	tile  tile
	ahead ahead
}

var workbenches = sync.Pool{New: func() any { return new(workbench) }}

// compute computes the product on the calling goroutine, block by block. A block waits
// until the next one is known, because its tiles may fetch what that will need.
func (p product) compute() {
	w := workbenches.Get().(*workbench)
	defer workbenches.Put(w)
	if p.start.data == nil {
		p.start.data = zeros[:] // whose steps are 0
	}
	var block product // the first is empty
	var a, b operand
	for next := range p.blocks {
		w.computeBlock(block, a, b, next)
		if next.a.differs(block.a) {
			a = w.packA(next.a)
		}
		if next.b.differs(block.b) {
			b = w.packB(next.b)
		}
		block = next
	}
	w.computeBlock(block, a, b, product{})
}

// blocks yields the parts of a product that are computed one after another: for each part
// of the depth, going on from where the last one stopped; for each group of rows (one,
// unless a has to be packed); for each block of columns.
func (p product) blocks(yield func(product) bool) {
	deepest, stepRows := blockDepth, p.c.rows
	if bf16 {
		deepest = blockDepth / kernels.pairFloats * 2
	}
	stepDepth := evenly(p.a.cols, deepest, 2)
	if p.a.far() {
		stepDepth, stepRows = evenly(p.a.cols, groupDepth, 2), evenly(p.c.rows, groupRows, kernels.tileRows)
	}
	stepCols := evenly(p.c.cols, blockCols, kernels.tileCols)
	for k := 0; k < p.a.cols; k += stepDepth {
		deep := p.depth(k, min(k+stepDepth, p.a.cols))
		for i := 0; i < p.c.rows; i += stepRows {
			group := deep.rows(i, min(i+stepRows, p.c.rows))
			for j := 0; j < p.c.cols; j += stepCols {
				if !yield(group.cols(j, min(j+stepCols, p.c.cols))) {
					return
				}
			}
		}
		p.start = p.c
	}
}

// evenly is the size of parts of n that are about equal: whole units, at most limit.
func evenly(n, limit, unit int) int {
	parts := max((n+limit-1)/limit, 1)
	return (n + parts*unit - 1) / (parts * unit) * unit
}

// An operand is a or b as tiles read it: in panels of as many rows of a, or columns of
// b, as a tile has. They begin panel elements apart; within the first one element
// (i, j) lies where the matrix says.
type operand struct {
	matrix
	panel int
}

// far tells whether a is transposed and its columns so far apart that it has to be packed. Pairs
// have to be made of any.
func (a matrix) far() bool {
	if bf16 {
		return a.colStep != 1
	}
	return a.rowStep == 1 && a.colStep > near
}

// differs tells whether a block's operand is there, and another one than the last block's:
// of one product's blocks, those that begin at the same element are the same.
func (m matrix) differs(last matrix) bool {
	return m.data != nil && (last.data == nil || &m.data[0] != &last.data[0])
}

// packA packs a group of rows of a if it is far.
func (w *workbench) packA(a matrix) operand {
	height := kernels.tileRows
	if !a.far() {
		return operand{a, height * a.rowStep}
	}
	panel := height*packedDepth(a.cols) + gap
	pack := kernels.pack
	if bf16 {
		pack = kernels.pairColumns
	}
	pack(w.a[:], height, panel, a.data, a.colStep, a.cols, a.rows)
	return operand{matrix{w.a[:], a.rows, a.cols, 1, height}, panel}
}

// packB packs a block of b, unless its rows are near and the last one has memory for
// whole tiles (what is in the columns beyond b does not matter).
func (w *workbench) packB(b matrix) operand {
	width := kernels.tileCols
	panel, whole := width*packedDepth(b.rows)+gap, (b.cols+width-1)/width*width
	switch {
	case bf16 && b.colStep != 1:
		w.transposePairs(width, panel, b.T())
	case bf16:
		kernels.pairColumns(w.b[:], width, panel, b.data, b.rowStep, b.rows, b.cols)
	case b.colStep != 1:
		for j := 0; j < b.cols; j += width {
			kernels.transpose(w.b[j/width*panel:], width, b.at(0, j), b.colStep, min(width, b.cols-j), b.rows)
		}
	case b.rowStep <= near && (b.rows-1)*b.rowStep+whole <= cap(b.data):
		return operand{b, width}
	default:
		kernels.pack(w.b[:], width, panel, b.data, b.rowStep, b.rows, b.cols)
	}
	return operand{matrix{w.b[:], b.rows, b.cols, width, 1}, panel}
}

// transposePairs packs the transposed m in w.b, by way of a few of its rows as pairs.
func (w *workbench) transposePairs(width, panel int, m matrix) {
	few, depth := min(8, width), packedDepth(m.cols)
	for i := 0; i < m.rows; i += few {
		n := min(few, m.rows-i)
		kernels.pairRows(w.aRows[:], packedRow, m.at(i, 0), m.rowStep, n, m.cols)
		kernels.transpose(w.b[i/width*panel+i%width:], width, w.aRows[:], packedRow, n, depth)
	}
}

// computeBlock computes a block of c, tile by tile, row by row. a and b are the block's
// as tiles read them.
func (w *workbench) computeBlock(block product, a, b operand, next product) {
	c, start, t := block.c, block.start, &w.tile
	tileRows, tileCols := kernels.tileRows, kernels.tileCols
	t.depth, t.bRow = packedDepth(block.a.cols), b.rowStep
	compute := kernels.tile
	if bf16 {
		compute = kernels.tileBF16
	}
	w.ahead = ahead{}
	transposed := block.a.rowStep == 1
	if transposed {
		w.ahead.block(next, block)
	}
	for i := 0; i < c.rows; i += t.rows {
		t.setRows(min(tileRows, c.rows-i))
		w.setA(a, i)
		t.cRow, t.startRow = c.rowStep, start.rowStep
		if t.rows == 1 {
			t.aRow, t.cRow, t.startRow = 0, 0, 0
		}
		if below := i + tileRows; !transposed && below < c.rows {
			w.ahead.rows(block.a, below)
		}
		for j := 0; j < c.cols; j += tileCols {
			t.c, t.start = c.at(i, j), start.at(i, j)
			t.cols, t.b = min(tileCols, c.cols-j), b.data[j/tileCols*b.panel:]
			t.nextC = tileCols // to the right, or else to the rows below
			if j+tileCols >= c.cols {
				t.nextC = tileRows*c.rowStep - j
			}
			w.ahead.piece(t)
			compute(t)
		}
	}
}

// setA makes the tile begin at row i of a.
func (w *workbench) setA(a operand, i int) {
	t, height := &w.tile, kernels.tileRows
	t.a, t.aRow, t.aStep = a.data[i/height*a.panel+i%height*a.rowStep:], a.rowStep, a.colStep
	if bf16 && t.aStep == 1 {
		kernels.pairRows(w.aRows[:], packedRow, a.at(i, 0), a.rowStep, t.rows, a.cols)
		t.a, t.aRow = w.aRows[:], packedRow
	} else if t.aStep == 1 && t.aRow%conflict == 0 {
		kernels.pack(w.aRows[:], packedRow, 0, t.a, t.aRow, t.rows, t.depth)
		t.a, t.aRow = w.aRows[:], packedRow
	}
}

// An ahead is what tiles fetch into the caches while they compute, piece by piece: what
// is left of one matrix, then another.
type ahead struct {
	now, then matrix
	row, col  int // where the next piece of now begins
}

// rows makes it the rows of a from i on, as many as a tile has.
func (f *ahead) rows(a matrix, i int) {
	*f = ahead{now: a.part(i, 0, min(kernels.tileRows, a.rows-i), a.cols)}
}

// block makes it what the next block reads and this one does not. It is called where a
// is transposed: then the rows of a itself need no fetching, because they were packed
// or lie side by side.
func (f *ahead) block(next, this product) {
	if next.a.differs(this.a) {
		f.now = next.a.T()
	}
	if next.b.differs(this.b) {
		f.now, f.then = next.b, f.now
	}
}

// piece makes a tile fetch the next piece, fetchRows rows of fetchCols floats; after the
// last one, that one again.
func (f *ahead) piece(t *tile) {
	if f.now.data == nil {
		return
	}
	t.next, t.nextRow = f.now.at(f.row, f.col), f.now.rowStep
	if f.row += fetchRows; f.row >= f.now.rows {
		f.row, f.col = 0, f.col+fetchCols
	}
	if f.col >= f.now.cols {
		*f = ahead{now: f.then}
	}
}

// setRows makes a tile of n rows, or of one where they are fewer than three.
func (t *tile) setRows(n int) {
	if n < 3 {
		n = 1
	}
	t.rows = n
	for g := range t.group {
		t.group[g] = max(min(3*g, n-3), 0)
	}
}

// zeros are what a product starts from where nothing else is given.
var zeros [32]float32
