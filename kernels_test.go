package main

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"sort"
	"testing"
)

// kernelCases call each kernel on slices of one length, which it may change, and
// return what it returns.
var kernelCases = []struct {
	name string
	call func(k *kernelTable, s [][]float32, a, b, c float32) []float32
}{
	{"add", func(k *kernelTable, s [][]float32, a, b, c float32) []float32 { k.add(s[0], s[1]); return nil }},
	{"mulAdd", func(k *kernelTable, s [][]float32, a, b, c float32) []float32 { k.mulAdd(s[0], s[1], s[2]); return nil }},
	{"scale", func(k *kernelTable, s [][]float32, a, b, c float32) []float32 { k.scale(s[0], a); return nil }},
	{"sum", func(k *kernelTable, s [][]float32, a, b, c float32) []float32 { return []float32{k.sum(s[0])} }},
	{"dot", func(k *kernelTable, s [][]float32, a, b, c float32) []float32 { return []float32{k.dot(s[0], s[1])} }},
	{"squares", func(k *kernelTable, s [][]float32, a, b, c float32) []float32 { return []float32{k.squares(s[0], a)} }},
	{"maximum", func(k *kernelTable, s [][]float32, a, b, c float32) []float32 { return []float32{k.maximum(s[0])} }},
	{"expSum", func(k *kernelTable, s [][]float32, a, b, c float32) []float32 { return []float32{k.expSum(s[0], a, b)} }},
	{"softmaxBackward", func(k *kernelTable, s [][]float32, a, b, c float32) []float32 {
		k.softmaxBackward(s[0], s[1], a, b)
		return nil
	}},
	{"gelu", func(k *kernelTable, s [][]float32, a, b, c float32) []float32 { k.gelu(s[0], s[1]); return nil }},
	{"geluBackward", func(k *kernelTable, s [][]float32, a, b, c float32) []float32 {
		k.geluBackward(s[0], s[0], s[1])
		return nil
	}},
	{"gated", func(k *kernelTable, s [][]float32, a, b, c float32) []float32 {
		k.gated(s[0], s[1], 1.6, 0.07)
		return nil
	}},
	{"gatedBackward", func(k *kernelTable, s [][]float32, a, b, c float32) []float32 {
		k.gatedBackward(s[0], s[0], s[1], 1.6, 0.07, 0.21)
		return nil
	}},
	{"normalize", func(k *kernelTable, s [][]float32, a, b, c float32) []float32 {
		k.normalize(s[0], s[1], s[1], s[2], s[3], a, b)
		return nil
	}},
	{"normalizeSums", func(k *kernelTable, s [][]float32, a, b, c float32) []float32 {
		x, y := k.normalizeSums(s[0], s[1], s[2])
		return []float32{x, y}
	}},
	{"normalizeBackward", func(k *kernelTable, s [][]float32, a, b, c float32) []float32 {
		k.normalizeBackward(s[0], s[1], s[2], s[3], a, b, c)
		return nil
	}},
	{"dropout", func(k *kernelTable, s [][]float32, a, b, c float32) []float32 {
		k.dropout(s[0], s[1], math.Float32bits(a), math.Float32bits(b), 1<<30, c)
		return nil
	}},
	{"adamw", func(k *kernelTable, s [][]float32, a, b, c float32) []float32 {
		k.adamw(s[0], s[1], s[2], s[3], &adamwConstants{0.9, 0.1, 0.98, 0.02, a, b, 1e-6, c, 0.9999})
		return nil
	}},
	{"pack", func(k *kernelTable, s [][]float32, a, b, c float32) []float32 {
		n := len(s[0])
		for rows := 1; rows <= n; rows += 1 + rows/2 {
			for width := 1; width*rows <= n; width += 1 + width/3 {
				cols := n/(width*rows)*width - rows%width // in the last panel some are missing
				k.pack(s[0], width, width*rows, s[1], n/rows, rows, cols)
			}
		}
		return nil
	}},
	{"transpose", func(k *kernelTable, s [][]float32, a, b, c float32) []float32 {
		n := len(s[0])
		for rows := 1; rows <= n; rows += 1 + rows/2 {
			k.transpose(s[0], rows, s[1], n/rows, rows, n/rows)
		}
		return nil
	}},
}

// special are numbers for which arithmetic has rules of its own.
var special = []float32{
	0, float32(math.Copysign(0, -1)), 1, -1, float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.NaN()),
	math.SmallestNonzeroFloat32, -math.SmallestNonzeroFloat32, 1e-40, 0x1p-126, math.MaxFloat32, -math.MaxFloat32,
	-87.3, -87.4, -88, -103, 0.34657359, 1e-20, 1e10,
}

// fillRandom fills x with numbers of very different sizes; if wild, some are special.
func fillRandom(r *rand.Rand, x []float32, wild bool) {
	for i := range x {
		x[i] = float32(r.NormFloat64() * math.Pow(10, float64(r.IntN(5)-3)))
		if wild && r.IntN(8) == 0 {
			x[i] = special[r.IntN(len(special))]
		}
	}
}

// sameBits tells whether two floats are the same to the last bit, or both NaN.
func sameBits(a, b float32) bool {
	return math.Float32bits(a) == math.Float32bits(b) || a != a && b != b
}

// Every kernel of every instruction set returns the bits of its Go version, for
// all lengths, from unaligned places, with special values too, and touches
// nothing beyond its slices, behind which lies memory that may not be touched.
func TestKernelsMatchGo(t *testing.T) {
	const longest = 300
	r := rand.New(rand.NewPCG(1, 1))
	guarded := make([][]float32, 5)
	for i := range guarded {
		guarded[i] = guardedFloats(t, longest)
	}
	for _, kc := range kernelCases {
		for n := range longest + 1 {
			for round := range 3 {
				input, room := make([][]float32, 5), make([][]float32, 5)
				for i := range input {
					input[i], room[i] = make([]float32, n), guarded[i][longest-n:]
					fillRandom(r, input[i], round > 0)
				}
				a, b, c := float32(r.NormFloat64()), float32(r.NormFloat64()), float32(r.NormFloat64())
				compareKernel(t, kc.name, kc.call, input, room, a, b, c)
			}
		}
	}
}

// compareKernel runs a kernel of each instruction set on copies of input in room
// and compares them with the Go version.
func compareKernel(t *testing.T, name string, call func(k *kernelTable, s [][]float32, a, b, c float32) []float32, input, room [][]float32, a, b, c float32) {
	t.Helper()
	want := make([][]float32, len(input))
	for i := range input {
		want[i] = slices.Clone(input[i])
	}
	wantResult := call(&kernelTables[0], want, a, b, c)
	for k := range kernelTables[1:] {
		table := &kernelTables[1+k]
		for i := range input {
			copy(room[i], input[i])
		}
		result := call(table, room, a, b, c)
		for i := range input {
			compareBits(t, fmt.Sprintf("%s %s: length %d: slice %d", table.name, name, len(input[i]), i), room[i], want[i])
		}
		compareBits(t, fmt.Sprintf("%s %s: length %d: result", table.name, name, len(input[0])), result, wantResult)
	}
}

// A sum of products that are all too small for a float32 is 0 with one sign, whether
// the last block is whole or not.
func TestSumsOfNothingAreZero(t *testing.T) {
	small := func(n int, x float32) []float32 { return slices.Repeat([]float32{x}, n) }
	for n := range 50 {
		for _, table := range kernelTables {
			sum, dot := table.normalizeSums(small(n, -1e-30), small(n, 1), small(n, 1e-30))
			squares := table.squares(small(n, 1e-30), 0)
			compareBits(t, fmt.Sprintf("%s: length %d", table.name, n), []float32{dot, squares, table.sum(small(n, float32(math.Copysign(0, -1))))}, []float32{0, 0, 0})
			if (sum < 0) != (n > 0) {
				t.Errorf("%s: length %d: the sum is %v", table.name, n, sum)
			}
		}
	}
}

// A coin that is exactly the threshold is kept, and dropped at the next one.
func TestDropoutAtTheThreshold(t *testing.T) {
	x, y := slices.Repeat([]float32{1}, 40), make([]float32, 40)
	for i := range x {
		threshold := uint32(sort.Search(1<<31-1, func(n int) bool { dropoutGo(y, x, 7, 5, uint32(n)+1, 1); return y[i] == 0 }))
		for _, table := range kernelTables {
			table.dropout(y, x, 7, 5, threshold, 1)
			kept := y[i]
			table.dropout(y, x, 7, 5, threshold+1, 1)
			if kept != 1 || y[i] != 0 {
				t.Errorf("%s: element %d, at threshold %d: %v, and %v at the next", table.name, i, threshold, kept, y[i])
			}
		}
	}
}

// Whatever the bits, each kernel of each instruction set returns what its Go
// version does.
func FuzzKernels(f *testing.F) {
	f.Add([]byte("four floats for each of the five slices of a kernel, so eighty bytes or so at a time."), float32(0.5), float32(-3), float32(1))
	f.Add(make([]byte, 20*40), float32(math.Inf(1)), float32(0), float32(math.NaN()))
	f.Fuzz(func(t *testing.T, data []byte, a, b, c float32) {
		n := min(len(data)/(5*bytesOfF32), 300)
		input, room := make([][]float32, 5), make([][]float32, 5)
		for i := range input {
			for range n {
				input[i] = append(input[i], math.Float32frombits(binary.LittleEndian.Uint32(data)))
				data = data[4:]
			}
			room[i] = slices.Clone(input[i])
		}
		for _, kc := range kernelCases {
			compareKernel(t, kc.name, kc.call, input, room, a, b, c)
		}
	})
}

func compareBits(t *testing.T, what string, got, want []float32) {
	t.Helper()
	for i := range want {
		if !sameBits(got[i], want[i]) {
			t.Fatalf("%s: element %d is %x, want %x", what, i, math.Float32bits(got[i]), math.Float32bits(want[i]))
		}
	}
}

// Each tile computes its chains as the triple loop does, for every number of rows
// and columns, whatever the steps, and touches nothing beyond.
func TestTileMatchesTripleLoop(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	for _, table := range kernelTables {
		for rows := 3; rows <= table.tileRows; rows++ {
			for cols := 1; cols <= table.tileCols; cols++ {
				depth := []int{1, 2, 7, 40, 100}[r.IntN(5)]
				for _, x := range []tile{
					{cRow: cols, startRow: 0, aRow: depth + 1, aStep: 1, bRow: table.tileCols},
					{cRow: cols + 3, startRow: cols, aRow: 1, aStep: rows, bRow: table.tileCols + 7},
					{cRow: 2 * cols, startRow: cols + 1, aRow: 2*depth + 5, aStep: 2, bRow: table.tileCols},
					{}, // one row
				} {
					x.setRows(rows)
					x.cols, x.depth = cols, depth
					if x.cRow == 0 {
						x.setRows(1)
						x.aStep, x.bRow = 1, table.tileCols
					}
					x.a = guardedFloats(t, (x.rows-1)*x.aRow+(depth-1)*x.aStep+1)
					x.b = guardedFloats(t, (depth-1)*x.bRow+table.tileCols)
					x.c = guardedFloats(t, (x.rows-1)*x.cRow+cols)
					x.start = guardedFloats(t, (x.rows-1)*x.startRow+cols)
					for _, s := range [][]float32{x.a, x.b, x.c, x.start} {
						fillRandom(r, s, depth == 7)
					}
					want := append([]float32(nil), x.c...)
					for i := range x.rows {
						for j := range cols {
							sum := x.start[i*x.startRow+j]
							for k := range depth {
								sum = fma(x.a[i*x.aRow+k*x.aStep], x.b[k*x.bRow+j], sum)
							}
							want[i*x.cRow+j] = sum
						}
					}
					table.tile(&x)
					compareBits(t, fmt.Sprintf("%s tile of %d×%d, depth %d", table.name, rows, cols, depth), x.c, want)
				}
			}
		}
	}
}

// fma rounds a·b + c once, as exact arithmetic with big numbers does.
func TestFMARoundsOnce(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	random := func() float32 {
		for {
			f := math.Float32frombits(r.Uint32())
			if r.IntN(2) == 0 { // of a size like the others, so that they meet
				f = math.Float32frombits(r.Uint32()&0x807fffff | uint32(100+r.IntN(40))<<23)
			}
			if !math.IsNaN(float64(f)) && !math.IsInf(float64(f), 0) {
				return f
			}
		}
	}
	exact := func(f float32) *big.Float { return new(big.Float).SetPrec(2000).SetFloat64(float64(f)) }
	for range 200000 {
		a, b, c := random(), random(), random()
		if r.IntN(4) == 0 { // a sum that is close to a tie of two float32
			a = math.Float32frombits(math.Float32bits(a) &^ 0xfff)
			b = math.Float32frombits(math.Float32bits(b) &^ 0x7ff)
		}
		product := new(big.Float).SetPrec(2000).Mul(exact(a), exact(b))
		sum := product.Add(product, exact(c))
		want, _ := sum.Float32()
		if sum.Sign() == 0 {
			want = float32(float64(a)*float64(b) + float64(c)) // exact, with the right sign of zero
		}
		if got := fma(a, b, c); !sameBits(got, want) {
			t.Fatalf("fma(%x, %x, %x) = %x, want %x", a, b, c, got, want)
		}
	}
}

// exp, the normal distribution, tanh and ln are what the math package says, as
// nearly as float32 can.
func TestFunctionsAreAccurate(t *testing.T) {
	worst := map[string]float64{}
	note := func(name string, got float32, want, unit float64) {
		worst[name] = max(worst[name], math.Abs(float64(got)-want)/unit)
	}
	for x := -87.0; x <= 88; x += 0.00137 {
		f := float32(x)
		e := math.Exp(float64(f))
		note("exp", exp(f), e, e)
	}
	for x := -12.0; x <= 12; x += 0.000137 {
		f := float32(x)
		distribution, density := normal(f)
		note("distribution", distribution, 0.5*math.Erfc(-float64(f)/math.Sqrt2), 1)
		note("density", density, math.Exp(-0.5*float64(f)*float64(f))/math.Sqrt(2*math.Pi), 1)
		derivative := 0.5*math.Erfc(-float64(f)/math.Sqrt2) + float64(f)*math.Exp(-0.5*float64(f)*float64(f))/math.Sqrt(2*math.Pi)
		dx := []float32{1}
		geluBackwardGo(dx, dx, []float32{f})
		note("derivative of GELU", dx[0], derivative, 1)
		note("tanh", TanhForward([]float32{f})[0], math.Tanh(float64(f)), 1)
	}
	for x := 1e-30; x < 1e30; x *= 1.01 {
		worst["ln"] = max(worst["ln"], math.Abs(ln(x)-math.Log(x))/max(1, math.Abs(math.Log(x))))
	}
	for name, bound := range map[string]float64{"exp": 1.2e-7, "distribution": 2.1e-7, "density": 5e-8, "derivative of GELU": 3e-7, "tanh": 1.2e-7, "ln": 1e-15} {
		t.Logf("%-18s %.2g", name, worst[name])
		if !(worst[name] <= bound) {
			t.Errorf("%s is %.2g off, want at most %.2g", name, worst[name], bound)
		}
	}
}

// A product is the triple loop, whatever its shape, its strides, what it starts from
// and the instruction set, alone or on all workers. The last shapes fill the room for a
// block and for a group of rows and need more than one, and have rows that are far, or a
// multiple of 4 KB, apart. With a gap, each matrix is a window on a larger one, and ends
// at memory that may not be touched.
func TestMatmulMatchesTripleLoop(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	defer func(k kernelTable) { kernels = k }(kernels)
	for _, shape := range [][4]int{{1, 1, 1}, {2, 3, 4, 1}, {12, 32, 8}, {13, 33, 9, 3}, {5, 70, 300}, {70, 5, 3}, {100, 300, 20, 7}, {40, 520, 260},
		{530, 33, 20}, {14, 20, 1024}, {250, 17, 600, 5}, {510, 514, 3, 2}, {1008, 3, 512}, {3, 1024, 1023, 1}} {
		m, n, k, gap := shape[0], shape[1], shape[2], shape[3]
		window := func(rows, cols int) matrix {
			data := guardedFloats(t, (rows-1)*(cols+gap)+cols)
			fillRandom(r, data, false)
			return matrix{data, rows, cols, cols + gap, 1}
		}
		as, bs := []matrix{window(m, k), window(k, m).T()}, []matrix{window(k, n), window(n, k).T()}
		bias, c := window(1, n), window(m, n)
		before := slices.Clone(c.data)
		for kind := range 12 {
			a, b, start := as[kind&1], bs[kind>>1&1], []matrix{{}, repeated(bias.data, m), c}[kind/4]
			var got [][]float32
			for _, table := range kernelTables {
				kernels = table
				for _, compute := range []func(){func() { matmul(c, a, b, start) }, product{c, a, b, start}.compute} {
					copy(c.data, before)
					compute()
					got = append(got, slices.Clone(c.data))
				}
			}
			want := slices.Clone(before)
			for i := range m {
				for j := range n {
					sum := []float32{0, bias.data[j], before[i*c.rowStep+j]}[kind/4]
					for p := range k {
						sum = fma(a.data[i*a.rowStep+p*a.colStep], b.data[p*b.rowStep+j*b.colStep], sum)
					}
					want[i*c.rowStep+j] = sum
				}
			}
			for x := range got {
				compareBits(t, fmt.Sprintf("%s: shape %v, kind %d", kernelTables[x/2].name, shape, kind), got[x], want)
			}
		}
	}
}
